"""Which of the measured networks to train in a given time: rules only, nothing is run.

Of those that get the epochs they need, the one that does the most multiply-adds in all; epochs
beyond those that it is meant for do not count. So more time never gives less training.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from vertebra.recipes.advise_rungs import Rung

EVALUATING = 0.1
"""Share of the training time that evaluations may add; where each epoch's would add more, they are
made every few epochs."""

MOST_TRIALS = 5
"""So many networks are measured at most."""


class Trial(NamedTuple):
    """What was measured of a network.

    macs:       of one image, forward.
    epoch:      seconds of the updates of one pass; infinite where it does not fit into memory.
    evaluation: seconds of a look at the minival; report: at the split that is reported.
    """

    rung: Rung
    macs: int
    epoch: float
    evaluation: float
    report: float

    @property
    def evaluate_every(self) -> int:
        """Epochs between two evaluations."""
        if math.isinf(self.epoch):
            return 1
        return max(1, math.ceil(self.evaluation / (EVALUATING * self.epoch)))

    def epochs_in(self, seconds: float) -> int:
        """Returns the whole epochs that fit, at most those for which the network is meant."""
        if math.isinf(self.epoch):
            return 0
        left = seconds - self.report - self.evaluation  # the end may come between two looks
        each = self.epoch + self.evaluation / self.evaluate_every
        return int(max(0, min(self.rung.most, left / each)))

    def seconds_of(self, epochs: int) -> float:
        """Returns the time in which so many epochs fit."""
        each = self.epoch + self.evaluation / self.evaluate_every
        return epochs * each + self.evaluation + self.report


class Choice(NamedTuple):
    """What to train for how many epochs."""

    trial: Trial
    epochs: int

    @property
    def work(self) -> int:
        """Multiply-adds of all epochs for each image, forward."""
        return self.trial.macs * self.epochs


def choose(trials: Iterable[Trial], *, seconds: float, updates_per_epoch: float) -> Choice | None:
    """Returns the best of the trials for so much time; None where none gets what it needs."""
    choices = [Choice(each, each.epochs_in(seconds)) for each in trials]
    possible = [
        each for each in choices if each.epochs >= each.trial.rung.epochs_needed(updates_per_epoch)
    ]
    return max(possible, key=lambda each: (each.work, each.trial.macs), default=None)


def explore(
    rungs: tuple[Rung, ...],
    measure: Callable[[Rung, int], Trial],
    *,
    seconds: float,
    updates_per_epoch: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[Rung, Trial]:
    """Returns a handful of rungs, measured: the smallest, then again and again the best by what is
    foreseen, and the next larger one.

    rungs:   small to large.
    measure: gets a rung and the epochs that are foreseen for it.
    """
    trials: dict[Rung, Trial] = {}
    wanted: Rung | None = rungs[0]
    while wanted is not None and len(trials) < MOST_TRIALS:
        guess = foresee(wanted, trials.values()).epochs_in(seconds) if trials else wanted.least
        trials[wanted] = measure(wanted, max(wanted.least, guess))
        if on_progress is not None:
            on_progress(len(trials), MOST_TRIALS)
        wanted = _next(rungs, trials, seconds, updates_per_epoch)
    return trials


def _next(
    rungs: tuple[Rung, ...], trials: Mapping[Rung, Trial], seconds: float, updates: float
) -> Rung | None:
    """Returns what to measure next; None once the best and the one above it are measured."""
    foreseen = [trials.get(rung) or foresee(rung, trials.values()) for rung in rungs]
    best = choose(foreseen, seconds=seconds, updates_per_epoch=updates)
    if best is None:
        return None
    above = rungs[rungs.index(best.trial.rung) :][:2]
    return next((rung for rung in above if rung not in trials), None)


def foresee(rung: Rung, trials: Iterable[Trial]) -> Trial:
    """Returns what a rung may be like, as its multiply-adds are to the nearest measured one's."""

    def ratio(trial: Trial) -> float:
        return rung.relative_cost / trial.rung.relative_cost

    near = min(trials, key=lambda trial: abs(math.log(ratio(trial))))
    factor = ratio(near)
    return Trial(
        rung,
        round(near.macs * factor),
        near.epoch * factor,
        near.evaluation * factor,
        near.report * factor,
    )
