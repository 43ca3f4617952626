from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra.data.order import Order, permutation
from vertebra.errors import RecipeError


def stream(order: Order, numbers: range) -> list[tuple[int, int]]:
    positions = chain.from_iterable(order.positions(number) for number in numbers)
    return [tuple(order.place(position)) for position in positions]


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5))
def test_every_pass_sees_every_image_once(length: int, batch_size: int, seed: int):
    order = Order(length=length, seed=seed, batch_size=batch_size)
    seen = stream(order, range(-(-3 * length // batch_size)))
    for epoch in range(3):
        assert sorted(index for at, index in seen if at == epoch)[:length] == list(range(length))
    assert len(seen) % batch_size == 0


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 17), st.integers(0, 4)
)
def test_processes_and_accumulated_batches_share_out_an_update(
    world: int, accumulate: int, size: int, length: int, step: int
):
    batch_size = world * accumulate * size
    whole = Order(length=length, seed=7, batch_size=batch_size)
    parts = [
        Order(
            length=length,
            seed=7,
            batch_size=batch_size,
            accumulate=accumulate,
            rank=rank,
            world=world,
        ).positions(step * accumulate + micro)
        for micro in range(accumulate)
        for rank in range(world)
    ]
    assert list(chain.from_iterable(parts)) == list(whole.positions(step))
    assert all(len(part) == size for part in parts)


def test_passes_differ_and_seeds_differ():
    orders = {
        tuple(permutation(50, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)
    }
    assert len(orders) == 9
    assert np.array_equal(permutation(50, 0, 2), permutation(50, 0, 2))


def test_a_data_set_smaller_than_a_batch_goes_round():
    order = Order(length=3, seed=0, batch_size=8)
    places = [order.place(position) for position in order.positions(0)]
    assert [place.epoch for place in places] == [0, 0, 0, 1, 1, 1, 2, 2]


def test_skipping_goes_round_the_end_of_the_same_pass():
    order = Order(length=4, seed=0, batch_size=2)
    around = [order.place(6, skip=skip) for skip in range(4)]
    assert {place.epoch for place in around} == {1}
    assert sorted(place.sample for place in around) == [0, 1, 2, 3]
    assert around[2].sample == permutation(4, 0, 1)[0]


@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 6), st.data())
def test_the_places_of_a_batch_are_those_of_its_positions(
    length: int, batch_size: int, number: int, data: st.DataObject
):
    order = Order(length=length, seed=2, batch_size=batch_size)
    readable = np.array(data.draw(st.lists(st.booleans(), min_size=length, max_size=length)))
    readable[length // 2] = True
    found = order.places(number, readable)
    for at, position in enumerate(order.positions(number)):
        skips = (skip for skip in range(length) if readable[order.place(position, skip=skip)[1]])
        skip = next(skips)
        assert (found.epochs[at], found.samples[at]) == order.place(position, skip=skip)
        assert found.skipped[at] == skip


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(RecipeError, match="batch_size=10 cannot be shared by 2 processes x 2 acc"):
        Order(length=5, seed=0, batch_size=10, accumulate=2, world=2)
