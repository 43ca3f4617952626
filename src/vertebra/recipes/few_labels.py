"""Few labels: a pretrained network fine-tuned on a share of them, beside the same network trained
from scratch on the very same images.

Source: A Simple Framework for Contrastive Learning of Visual Representations (2020), section 6,
for shares of 1% and 10% with each class its part.
Differs: the lists are drawn anew for each seed. No label beyond the share chooses anything: the
last weights are kept. Settings are those of the recipes `finetune` and `small`, fitted to so few
images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from vertebra.data.survey import Survey
from vertebra.engine.execution import Precision
from vertebra.engine.observers import View
from vertebra.errors import CheckpointError, RecipeError
from vertebra.recipes.codec import to_data
from vertebra.recipes.fit import fit
from vertebra.recipes.materials import Materials, arrange
from vertebra.recipes.precision import fit_precision, in_precision
from vertebra.recipes.prepare import prepare
from vertebra.recipes.probe import Subject
from vertebra.recipes.recipe import Recipe, Selection
from vertebra.recipes.run import resume, run
from vertebra.recipes.shelf import load
from vertebra.recipes.start import look_up
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import vary
from vertebra.records import RunDirectory, RunRecord, read_json, read_record


@dataclass(frozen=True, kw_only=True)
class FewLabels:
    """Describes the runs: each share of the labels, for each of `seeds` draws.

    seeds: a draw decides the images, their order and every fresh weight.
    """

    fractions: tuple[float, ...]
    seeds: int = 3

    def __post_init__(self) -> None:
        for each in self.fractions:
            if not 0 < each <= 1:
                raise RecipeError(f"fraction {each}; give shares above 0, at most 1, as 0.01 0.1")
        if self.seeds < 1:
            raise RecipeError(f"seeds={self.seeds}; give at least 1, usually 3")


class Trial(NamedTuple):
    """One of the runs; `name` is that of its folder."""

    name: str
    fraction: float
    seed: int
    is_pretrained: bool
    recipe: Recipe
    materials: Materials


class Outcome(NamedTuple):
    """What came of a trial that learnt from `images` images: its share of reported images."""

    fraction: float
    seed: int
    is_pretrained: bool
    images: int
    top1: float
    directory: Path


def plan(few: FewLabels, subject: Subject, found: Survey, source: str) -> tuple[Trial, ...]:
    """Returns the trials, those on the same images next to each other.

    Raises:
        CheckpointError: the weights cannot be started from.
    """
    model, inputs = subject.deployed.recipe.model, {"data.preprocess": subject.deployed.preprocess}
    scratch = vary(suit(load("small"), model).recipe, inputs)
    tuned = vary(load("finetune"), {**inputs, "model": model, "pretrained": subject.pretrained})
    start = look_up(tuned, subject.pretrained)
    trials: list[Trial] = []
    for share in few.fractions:
        for seed in range(few.seeds):
            for is_pretrained, before in ((True, tuned), (False, scratch)):
                recipe = _on(before, subject, source, share=share, seed=seed)
                materials = arrange(found, recipe.phases[0].data, seed=seed)
                fixed = ("data.preprocess", "model")
                report = start if is_pretrained else None
                recipe = fit(recipe, materials, fixed=fixed, start=report).recipe
                how = "fine-tuned" if is_pretrained else "from-scratch"
                name = f"{how}-{share:g}-{seed}"
                trials.append(Trial(name, share, seed, is_pretrained, recipe, materials))
    return tuple(trials)


def in_one_precision(
    trials: Sequence[Trial], out: Path, *, precision: Precision | None
) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    """Returns the trials in one precision, and a sentence where that was fitted.

    precision: None takes that of the trials that lie below `out`, or else what suits the first one
               here.
    """
    recipes = [trial.recipe for trial in trials]
    notes: tuple[str, ...] = ()
    precision = precision or _precision_below(trials, out)
    if precision is None:
        fitted, notes = fit_precision(recipes[0], others=recipes[1:])
        precision = fitted.execution.precision
    same = (trial._replace(recipe=in_precision(trial.recipe, precision)) for trial in trials)
    return tuple(same), notes


def _precision_below(trials: Sequence[Trial], out: Path) -> Precision | None:
    for trial in trials:
        if RunDirectory(out / trial.name).recipe.is_file():
            return load(out / trial.name).execution.precision
    return None


def _on(recipe: Recipe, subject: Subject, source: str, *, share: float, seed: int) -> Recipe:
    """Returns the recipe for a share of the images at `source`; it ends with the last weights."""
    (phase,) = recipe.phases
    data = replace(phase.data, source=source, fraction=share, split_seed=subject.seed)
    return replace(
        recipe,
        phases=(replace(phase, data=data),),
        selection=Selection(every=phase.length, keep="last"),
        execution=subject.deployed.execution,
        seed=seed,
    )


def attempt(trials: Sequence[Trial], out: Path, *, view: View | None) -> Iterator[Outcome]:
    """Yields what came of each trial, whose run lies in a folder of its own below `out`.

    One that lies there finished is read, one that was stopped goes on.

    Raises:
        CheckpointError: another run lies there.
        Interrupted: a signal arrived; the same call goes on.
    """
    for trial in trials:
        record = _record(trial, out / trial.name, view)
        images = len(trial.materials.train)
        top1 = record.figures["top1"]
        yield Outcome(
            trial.fraction, trial.seed, trial.is_pretrained, images, top1, out / trial.name
        )


def _record(trial: Trial, directory: Path, view: View | None) -> RunRecord:
    place = RunDirectory(directory)
    if place.recipe.is_file():
        if read_json(place.recipe) != to_data(trial.recipe):
            raise CheckpointError(
                f"{directory} holds a run of another recipe; give another folder for --out"
            )
        record = read_record(place) if place.record.is_file() else resume(directory, view=view)
    else:
        prepared = prepare(trial.recipe, materials=(trial.materials,))
        record = run(trial.recipe, directory, prepared=prepared, view=view)
    if record is None:  # of several processes all but the first get none
        raise CheckpointError("these runs need a process of their own; leave out torchrun")
    return record
