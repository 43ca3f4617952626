"""A thread that does at once what has come in meanwhile."""

import threading
from concurrent.futures import wait

import pytest

from vertebra.export.batching import Batching


class Doubling:
    """Doubles numbers when it may; notes how many it was given, and in which thread."""

    def __init__(self):
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.sizes = []
        self.threads = set()

    def __call__(self, numbers):
        self.sizes.append(len(numbers))
        self.threads.add(threading.current_thread())
        self.begun.set()
        assert self.gate.wait(30)
        if 0 in numbers:
            raise ZeroDivisionError("zero")
        return [2 * each for each in numbers]


def started(batching, work):
    """Has the thread begun with a first item, so that all others wait."""
    first = batching.submit(1)
    assert work.begun.wait(30)
    return first


def test_what_comes_in_during_a_pass_goes_together_and_a_first_item_goes_alone():
    work = Doubling()
    with Batching(work, most=4) as batching:
        first = started(batching, work)
        later = [batching.submit(number) for number in range(2, 12)]
        work.gate.set()
        assert [each.result(30) for each in (first, *later)] == [2 * n for n in range(1, 12)]
    assert work.sizes == [1, 4, 4, 2]
    assert (batching.passes, batching.done) == (4, 11)
    assert len(work.threads) == 1 and threading.current_thread() not in work.threads


def test_its_end_waits_for_what_was_submitted():
    work = Doubling()
    with Batching(work, most=2) as batching:
        futures = [started(batching, work), *map(batching.submit, (2, 3, 4))]
        work.gate.set()
    assert [each.result(0) for each in futures] == [2, 4, 6, 8]


def test_a_pass_that_fails_fails_its_own_items_and_no_others():
    work = Doubling()
    with Batching(work, most=2) as batching:
        first = started(batching, work)
        failed = [batching.submit(0), batching.submit(5)]
        after = batching.submit(6)
        work.gate.set()
        wait([first, *failed, after], timeout=30)
    assert (first.result(), after.result()) == (2, 12)
    for each in failed:
        with pytest.raises(ZeroDivisionError):
            each.result()
    assert batching.done == 2


def test_results_that_are_too_few_are_a_failure():
    with Batching(lambda numbers: [], most=2) as batching, pytest.raises(ValueError):
        batching.submit(1).result(30)


def test_what_nobody_waits_for_any_more_is_left_out():
    work = Doubling()
    with Batching(work, most=4) as batching:
        started(batching, work)
        given_up, wanted = batching.submit(2), batching.submit(3)
        assert given_up.cancel()
        work.gate.set()
        assert wanted.result(30) == 6
    assert work.sizes == [1, 1]
