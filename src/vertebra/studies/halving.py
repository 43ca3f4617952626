"""Successive halving: runs that are behind at a quarter or half of their length are stopped.

Source: Non-stochastic Best Arm Identification and Hyperparameter Optimization (2016), algorithm 1;
A System for Massively Parallel Hyperparameter Tuning (2020), algorithm 2, which Optuna makes.
Differs: rungs are shares of a run's own length, as the runs of a study may differ in length.
"""

import math
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from vertebra.errors import MissingExtra, RecipeError
from vertebra.recipes.recipe import Recipe
from vertebra.records import read_events
from vertebra.report import quantities as say
from vertebra.studies.place import Planned, StudyDirectory, runs_of
from vertebra.studies.study import Study
from vertebra.studies.task import Task

if TYPE_CHECKING:
    import optuna

FIRST_RUNG = 25
"""Per cent of a run's length after which it is judged; then at the double of it."""

KEEPS = 2
"""One of so many goes on beyond a rung."""

LOOK_SECONDS = 1.0
"""How often the figures of a run are looked at."""


class Halving:
    """Judges the runs of a study under way, each against those with the same seed.

    A run that reaches a rung is judged against all that have been there before, in earlier sessions
    too: it goes on if it is among the better half of them, and the best always does. So the first
    run goes on whatever it is worth. Accuracy is that of the split that chooses.

    Raises:
        MissingExtra: Optuna is not installed.
        RecipeError: no run says anything before it ends.
    """

    def __init__(self, study: Study, place: StudyDirectory) -> None:
        if find_spec("optuna") is None:
            raise MissingExtra(
                "Optuna is not installed; bring it with `pip install vertebra[halving]`"
            )
        self.silent = tuple(cell.name for cell in study.cells if not reports_early(cell.recipe))
        """Rows that are never stopped."""
        if len(self.silent) == len(study.cells):
            raise RecipeError(
                "no run looks at its selection split before its end, so none can be stopped; set "
                "selection.every below the length, in recipes of one phase, or leave --halving out"
            )
        self._place = place
        self._planned = {each.name: each for each in runs_of(study)}
        self._brackets = {seed: _bracket() for seed in study.seeds}
        self._trials = {
            name: self._brackets[each.seed].ask() for name, each in self._planned.items()
        }
        self._judged_at = dict.fromkeys(self._planned, 0)
        self._bytes_seen = dict.fromkeys(self._planned, 0)
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()
        self._look()
        self._reasons.clear()  # runs of earlier sessions count, and are not judged anew
        self._looked_at = -math.inf

    def why_stop(self, task: Task) -> str | None:
        """Returns why a run under way should be given up; None while it should go on."""
        with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._look()
                self._looked_at = time.monotonic()
            return self._reasons.get(task.name)

    def _look(self) -> None:
        """Judges every run that has said more; one may have ended since the last look."""
        for name in self._planned:
            log = self._place.run(name).metrics
            size = log.stat().st_size if log.is_file() else 0
            if size != self._bytes_seen[name]:
                self._bytes_seen[name] = size
                self._judge(name)

    def _judge(self, name: str) -> None:
        """Tells Optuna of a run's new figures, and notes which is not good enough."""
        planned, trial = self._planned[name], self._trials[name]
        for percent, top1 in self._figures(planned):
            if percent > self._judged_at[name]:
                self._judged_at[name] = percent
                trial.report(top1, percent)
                if trial.should_prune():
                    self._reasons[name] = self._reason(planned.seed, percent, top1)

    def _figures(self, planned: Planned) -> Iterator[tuple[int, float]]:
        """Yields how far a run had come, in whole per cent below 100, and its accuracy there."""
        if not reports_early(planned.recipe):
            return
        length = planned.recipe.phases[0].length
        for event in read_events(self._place.run(planned.name).metrics, "evaluate"):
            done = event["epoch"] if length.unit == "epochs" else event["step"]
            percent = int(round(100 * done / length.value, 6))
            if percent < 100 and "top1" in event["figures"]:
                yield percent, float(event["figures"]["top1"])

    def _reason(self, seed: int, percent: int, top1: float) -> str:
        trials = self._brackets[seed].get_trials(deepcopy=False)
        best = max(
            value
            for trial in trials
            for step, value in trial.intermediate_values.items()
            if step <= percent
        )
        return (
            f"at {percent}% of its length accuracy was {say.percent(top1)}, and the best with "
            f"seed {seed} had {say.percent(best)} by then"
        )


def reports_early(recipe: Recipe) -> bool:
    """Returns whether a run says how good it is before its end, as far as can be told without its
    data; phases have figures that cannot be compared."""
    every, length = recipe.selection.every, recipe.phases[0].length
    is_late = every.unit == length.unit and every.value >= length.value
    return len(recipe.phases) == 1 and not is_late


def _bracket() -> "optuna.Study":
    """Returns Optuna's study of the runs with one seed, in memory, made in silence."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=optuna.pruners.SuccessiveHalvingPruner(
                min_resource=FIRST_RUNG, reduction_factor=KEEPS
            ),
        )
    finally:
        optuna.logging.set_verbosity(verbosity)
