import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

from vertebra.contracts import ParameterGroup, Progress
from vertebra.duration import epochs, steps
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Constant, Cosine, ScheduleSpec, StepDecay, apply
from vertebra.errors import RecipeError

NO_WARMUP = steps(0)


def factors(schedule: ScheduleSpec, count: int, *, per_epoch: float = 10) -> list[float]:
    return [schedule.factor(Progress(step, count), per_epoch) for step in range(count)]


def of_torch(make, count: int) -> list[float]:
    """What a torch scheduler gives for a peak of 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates: list[float] = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    "schedule",
    [Cosine(warmup=steps(4)), StepDecay(warmup=steps(4)), Constant(warmup=epochs(0.4))],
)
def test_update_i_of_the_warm_up_runs_at_i_of_m_and_the_last_at_the_peak(schedule: ScheduleSpec):
    assert factors(schedule, 100)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_equals_torchs_over_the_steps_after_the_warm_up(final: float):
    ours = factors(Cosine(warmup=epochs(1), final=final), 50)
    theirs = of_torch(lambda it: lr_scheduler.CosineAnnealingLR(it, 40, eta_min=final), 40)
    assert ours[10:] == pytest.approx(theirs)


def test_cosine_is_half_in_the_middle_and_final_at_the_end():
    schedule = Cosine(warmup=steps(20), final=0.2)
    assert schedule.factor(Progress(60, 100), 10) == pytest.approx(0.6)
    assert schedule.factor(Progress(100, 100), 10) == pytest.approx(0.2)
    assert Cosine(warmup=NO_WARMUP).factor(Progress(0, 0), 10) == 0


@given(
    warmup=st.integers(0, 30),
    extra=st.integers(1, 200),
    final=st.floats(0, 1),
)
def test_cosine_rises_then_falls_within_its_bounds(warmup: int, extra: int, final: float):
    schedule = Cosine(warmup=steps(warmup), final=final)
    found = factors(schedule, warmup + extra)
    assert all(0 <= each <= 1 for each in found)
    rising, falling = found[:warmup], found[warmup:]
    assert rising == sorted(rising)
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(falling))
    assert max(found) == 1


def test_step_decay_equals_torchs_at_fractions_and_at_durations():
    theirs = of_torch(lambda it: lr_scheduler.MultiStepLR(it, [30, 60, 90]), 120)
    for milestones in (
        (0.25, 0.5, 0.75),
        (epochs(3), epochs(6), epochs(9)),
        (steps(30), 0.5, epochs(9)),
    ):
        schedule = StepDecay(milestones=milestones, warmup=NO_WARMUP)
        assert factors(schedule, 120) == pytest.approx(theirs)


def test_milestones_count_from_the_start_of_the_phase_warm_up_included():
    found = factors(StepDecay(milestones=(steps(6),), drop=0.5, warmup=steps(5)), 8)
    assert found == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 0.5, 0.5]


def test_constant_stays_at_the_peak():
    assert factors(Constant(), 5) == [1.0] * 5


@pytest.mark.parametrize(
    "schedule", [Cosine(), StepDecay(warmup=epochs(5)), Constant(warmup=epochs(5))]
)
def test_a_warm_up_as_long_as_the_phase_is_refused(schedule: ScheduleSpec):
    with pytest.raises(RecipeError, match="warm-up of 5 epochs is 50 steps, but the phase has 50"):
        schedule.factor(Progress(0, 50), 10)


def test_a_milestone_past_the_end_is_refused():
    with pytest.raises(RecipeError, match="milestone 30 epochs is step 300, but the phase has 100"):
        StepDecay(milestones=(epochs(30),)).factor(Progress(0, 100), 10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cosine(final=1.5),
        lambda: Cosine(final=math.nan),
        lambda: StepDecay(drop=0),
        lambda: StepDecay(drop=2),
        lambda: StepDecay(milestones=(30.0,)),
    ],
)
def test_values_out_of_range_are_refused(make):
    with pytest.raises(RecipeError, match="give"):
        make()


def test_a_schedule_prints_its_durations_as_they_were_given():
    assert "Duration(value=5.0, unit='epochs')" in repr(Cosine())
    assert str(Cosine().warmup) == "5 epochs"


def test_apply_sets_the_rate_of_each_group_by_its_scale():
    groups = [
        ParameterGroup("head", [nn.Parameter(torch.zeros(2, 2))], decays=True),
        ParameterGroup("backbone", [nn.Parameter(torch.zeros(2, 2))], decays=True, lr_scale=0.1),
    ]
    optimizer = SGD(lr=3).build(groups, torch.device("cpu"))
    apply(optimizer, 2.0, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1.0, 0.1])
