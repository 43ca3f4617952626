import pytest
from tests.bench.drawn import Clock

from vertebra.bench.latency import Spread, interleaved, quantile, timed


def nothing() -> None:
    """A device that has always done everything."""


def test_each_call_is_waited_for():
    clock, steps = Clock(), []
    timed(lambda: steps.append("work"), lambda: steps.append("wait"), clock)
    assert steps == ["wait", "work", "wait"]


def test_the_seconds_are_those_of_the_works():
    clock = Clock()
    works = {"slow": clock.spend(0.25), "fast": clock.spend(0.125)}
    found = interleaved(works, budget_s=5.0, synchronize=nothing, rounds=5, clock=clock)
    for name, seconds in (("slow", 0.25), ("fast", 0.125)):
        assert [quantile(block, 0.5) for block in found[name]] == pytest.approx([seconds] * 5)
    assert {name: [len(block) for block in blocks] for name, blocks in found.items()} == {
        "slow": [4] * 5,
        "fast": [8] * 5,
    }


def test_works_run_in_turn_and_the_first_call_of_a_block_does_not_count():
    clock, ran = Clock(), []

    def work(name):
        def call():
            ran.append(name)
            clock.now += 1.0

        return call

    found = interleaved(
        {"a": work("a"), "b": work("b")}, budget_s=0.1, synchronize=nothing, rounds=2, clock=clock
    )
    assert "".join(ran) == "ab" + "aaabbb" + "aaabbb"  # warm-up, two rounds
    assert [len(block) for block in found["a"]] == [2, 2]


def test_a_drift_of_the_machine_leaves_the_ratios_alone():
    clock, speed = Clock(), [1.0]

    def work(seconds):
        def call():
            clock.now += seconds * speed[0]

        return call

    def slow_down():
        speed[0] *= 1.5

    found = interleaved(
        {"one": work(0.1), "two": work(0.2)},
        budget_s=1.0,
        synchronize=nothing,
        rounds=4,
        on_round=slow_down,
        clock=clock,
    )
    ones, twos = ([quantile(block, 0.5) for block in found[name]] for name in ("one", "two"))
    assert ones[-1] == pytest.approx(ones[0] * 1.5**3)
    assert [two / one for one, two in zip(ones, twos, strict=True)] == pytest.approx([2] * 4)


def test_a_work_that_fails_is_left_out_and_told():
    clock, told = Clock(), {}
    calls = iter(range(100))

    def breaks():
        clock.now += 1.0
        if next(calls) == 3:
            raise RuntimeError("out of memory")

    found = interleaved(
        {"bad": breaks, "good": clock.spend(1.0)},
        budget_s=1.0,
        synchronize=nothing,
        rounds=3,
        on_failure=told.__setitem__,
        clock=clock,
    )
    assert list(found) == list({"good"})
    assert len(found["good"]) == 3
    assert str(told["bad"]) == "out of memory"


def test_a_failure_that_nobody_hears_of_is_raised():
    def broken():
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        interleaved({"broken": broken}, budget_s=1.0, synchronize=nothing)


def test_quartiles_lie_between_the_values():
    assert Spread.of([4.0, 1.0, 3.0, 2.0]) == Spread(p25=1.75, p50=2.5, p75=3.25)
    assert Spread.of([7.0]) == Spread(p25=7.0, p50=7.0, p75=7.0)
