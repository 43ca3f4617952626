import pytest
import torch
from tests.bench.drawn import Clock

from vertebra.bench.throughput import best_batch_size


def nothing() -> None:
    """A device that has always done everything."""


def best(seconds_of, *, fits: int = 10**6, **options) -> tuple[int, list[int]]:
    """Returns the best batch of a machine that takes `seconds_of(size)`, and the sizes tried."""
    clock, tried = Clock(), []

    def work_of(size):
        if size > fits:
            raise torch.OutOfMemoryError
        tried.append(size)
        return clock.spend(seconds_of(size))

    settings = {"budget_s": 1000.0, **options}
    return best_batch_size(work_of, synchronize=nothing, clock=clock, **settings), tried


def test_a_device_that_likes_large_batches_gets_the_largest():
    assert best(lambda size: 1.0, most=64)[0] == 64


def test_the_search_ends_after_two_doublings_in_vain():
    assert best(lambda size: max(8, size) / 8) == (8, [1, 2, 4, 8, 16, 32])
    assert best(lambda size: size * 1.0) == (1, [1, 2, 4])


def test_one_dip_does_not_end_the_search():
    rates = {1: 10, 2: 20, 4: 19, 8: 40, 16: 40, 32: 40}
    assert best(lambda size: size / rates[size])[0] == 8


def test_the_search_ends_where_memory_does():
    assert best(lambda size: 1.0, fits=10) == (8, [1, 2, 4, 8])


def test_a_model_of_which_not_one_image_fits_fails():
    with pytest.raises(torch.OutOfMemoryError):
        best(lambda size: 1.0, fits=0)


def test_the_search_ends_with_its_budget():
    assert best(lambda size: 1.0, budget_s=6.0)[1] == [1, 2]
