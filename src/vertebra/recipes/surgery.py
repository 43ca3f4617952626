"""Replaces the norms of a finished run, trains it a little further, and says what that did."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from vertebra.contracts import Classifier
from vertebra.engine import checkpoint
from vertebra.engine.observers import View
from vertebra.errors import RecipeError
from vertebra.layers.norm import GroupNormSpec
from vertebra.models.surgery import SwapReport, swap_norm
from vertebra.recipes.apply import evaluate_split
from vertebra.recipes.codec import to_data
from vertebra.recipes.deploy import load_run
from vertebra.recipes.norms import group_normed, shortened
from vertebra.recipes.prepare import prepare
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.run import run
from vertebra.records import EventLog, RunDirectory, read_json, write_json


@dataclass(frozen=True, kw_only=True)
class NormSurgery:
    """Describes what is done to a run.

    norm:        takes the place of every batch norm.
    standardise: the convolutions before a norm apply standardised filters.
    recalibrate: updates of ordinary training, on the run's data and as its recipe says.
    lr:          their peak rate; None is a tenth of the recipe's.
    """

    norm: GroupNormSpec = field(default_factory=GroupNormSpec)
    standardise: bool = False
    recalibrate: int = 0
    lr: float | None = None

    def __post_init__(self) -> None:
        if self.recalibrate < 0:
            raise RecipeError(f"recalibrate={self.recalibrate}; give a number of updates, or 0")
        if self.lr is not None and not (self.lr > 0 and self.recalibrate):
            raise RecipeError(f"lr={self.lr}; give a rate above 0, together with recalibrate")

    def recipe(self, before: Recipe, directory: Path) -> Recipe:
        """Returns the recipe of the run that results: without updates, as long as it was before."""
        after = group_normed(before, directory, norm=self.norm, standardise=self.standardise)
        return shortened(after, self.recalibrate, lr=self.lr) if self.recalibrate else after


class Outcome(NamedTuple):
    """What came of it: figures on `images` images of the split that the run reported, in order of
    the operation."""

    directory: Path
    report: SwapReport
    split: str
    images: int
    figures: Mapping[str, Mapping[str, float]]


def operate(
    surgery: NormSurgery,
    directory: Path,
    out: Path | None = None,
    *,
    device: str | None = None,
    view: View | None = None,
) -> Outcome:
    """Returns what came of the surgery on the run in `directory`; writes a run directory.

    out: the new run's, by default the next free one under runs/. Without updates the new run stands
         before its first one, with the carried weights selected; `resume` trains it.

    Raises:
        CheckpointError: there is no run, or `out` already holds something.
        RecipeError: the run's model cannot have other norms.
    """
    deployed = load_run(directory, device=device)
    recipe = replace(deployed.recipe, execution=deployed.execution)
    recipe = surgery.recipe(recipe, directory)
    place = RunDirectory(out) if out else RunDirectory.next(recipe.phases[-1].data.source)
    place.require_free()
    model, report = swap_norm(deployed.model, surgery.norm, standardise=surgery.standardise)
    prepared = prepare(recipe)
    splits = prepared.materials[-1].splits
    figures: dict[str, Mapping[str, float]] = {}
    for stage, network in (("before", deployed.model), ("norms replaced", model)):
        judged = replace(deployed, model=network)
        figures[stage] = evaluate_split(judged, splits.report, name=splits.report_name).figures
    if surgery.recalibrate:
        record = run(recipe, place.path, prepared=prepared, view=view)
        if record is not None:
            figures[f"after {surgery.recalibrate} updates"] = record.figures
    else:
        _lay_down(recipe, model, before=RunDirectory(directory), place=place)
    return Outcome(place.path, report, splits.report_name, len(splits.report), figures)


def _lay_down(
    recipe: Recipe, model: Classifier, *, before: RunDirectory, place: RunDirectory
) -> None:
    """Writes a run that has not begun, whose selected weights are those of `model`."""
    for path in (before.classes, before.preprocess, before.environment):
        write_json(place.path / path.name, read_json(path))
    write_json(place.recipe, to_data(recipe))
    best = place.checkpoints / "best"
    checkpoint.save(best, tensors={"model": model.state_dict()}, state={"best_step": 0, "best": {}})
    EventLog(place.metrics).append("save", step=0, epoch=0.0, values={"kind": "best"})
