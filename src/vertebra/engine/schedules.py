"""How the learning rate moves through a phase: schedules, pure functions from progress to a factor.

Source: Bag of Tricks for Image Classification (2019), sections 3.1 (warm-up) and 5.1 (cosine).

    factor
    1 |    /--.           With a warm-up of m updates, update i = 1, 2, ... m runs at i / m of the
      |   /    `.         peak: the first is above 0, the m-th is at the peak. The schedule begins
      |  /       `.       with the next one, and its length T = steps - m excludes the warm-up.
    0 | /          `-
      +--m--------steps
"""

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from vertebra.contracts import Progress
from vertebra.duration import Duration, epochs, steps
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from the peak down to `final`, a share of the peak, at the end of the phase."""

    warmup: Duration = field(default=epochs(5))
    final: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.final <= 1:
            raise RecipeError(f"Cosine final={self.final}; give a share of the peak from 0 to 1")

    def factor(self, progress: Progress, steps_per_epoch: float) -> float:
        """Returns the factor of the update that follows `progress`, in [0, 1].

        Raises:
            RecipeError: the warm-up leaves nothing of the phase.
        """
        warmup = _warmup_steps(self.warmup, progress, steps_per_epoch)
        if progress.step < warmup:
            return (progress.step + 1) / warmup
        length = progress.steps - warmup
        done = min(1.0, (progress.step - warmup) / length) if length else 1.0
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, kw_only=True)
class StepDecay:
    """The peak, multiplied by `drop` at each milestone.

    milestones: shares of the phase in (0, 1), or durations; both count from the start of the phase,
                warm-up included, as papers do ("divided by 10 at epochs 30, 60 and 90").
    """

    milestones: tuple[float | Duration, ...] = (0.25, 0.5, 0.75)
    drop: float = 0.1
    warmup: Duration = field(default=steps(0))

    def __post_init__(self) -> None:
        if not 0 < self.drop <= 1:
            raise RecipeError(f"StepDecay drop={self.drop}; give a number above 0, at most 1")
        for milestone in self.milestones:
            if not isinstance(milestone, Duration) and not 0 < milestone < 1:
                raise RecipeError(
                    f"StepDecay milestone {milestone} is no share of the phase; "
                    f"give a number between 0 and 1, or a duration such as '30 epochs'"
                )

    def factor(self, progress: Progress, steps_per_epoch: float) -> float:
        """Returns the factor of the update that follows `progress`, in [0, 1].

        Raises:
            RecipeError: the warm-up leaves nothing of the phase, or a milestone lies past its end.
        """
        warmup = _warmup_steps(self.warmup, progress, steps_per_epoch)
        reached = [self._step_of(each, progress, steps_per_epoch) for each in self.milestones]
        if progress.step < warmup:
            return (progress.step + 1) / warmup
        return self.drop ** sum(progress.step >= step for step in reached)

    def _step_of(
        self, milestone: float | Duration, progress: Progress, steps_per_epoch: float
    ) -> int:
        if not isinstance(milestone, Duration):
            return math.ceil(milestone * progress.steps - 1e-9)
        step = milestone.to_steps(steps_per_epoch)
        if step >= progress.steps:
            raise RecipeError(
                f"StepDecay milestone {milestone} is step {step}, but the phase has "
                f"{progress.steps}; give an earlier one, a share of the phase, or train longer"
            )
        return step


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The peak throughout, after the warm-up."""

    warmup: Duration = field(default=steps(0))

    def factor(self, progress: Progress, steps_per_epoch: float) -> float:
        """Returns the factor of the update that follows `progress`, in [0, 1].

        Raises:
            RecipeError: the warm-up leaves nothing of the phase.
        """
        warmup = _warmup_steps(self.warmup, progress, steps_per_epoch)
        return (progress.step + 1) / warmup if progress.step < warmup else 1.0


ScheduleSpec: TypeAlias = Cosine | StepDecay | Constant


def apply(optimizer: torch.optim.Optimizer, lr: float, factor: float) -> None:
    """Sets the rate of each group to `lr * factor`, times the group's own "lr_scale"."""
    for group in optimizer.param_groups:
        group["lr"] = lr * factor * group["lr_scale"]


def _warmup_steps(warmup: Duration, progress: Progress, steps_per_epoch: float) -> int:
    count = warmup.to_steps(steps_per_epoch)
    if 0 < progress.steps <= count:
        raise RecipeError(
            f"warm-up of {warmup} is {count} steps, but the phase has {progress.steps}; "
            f"shorten the schedule's warmup or train longer"
        )
    return count
