"""What to train in a given time: a handful of networks is measured here, and rules choose among
them.

The networks and the lengths that suit them are in `advise_rungs`, the choice in `advise_choice`,
how a network is regularised in `advise_settings`.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from vertebra.cores import usable_cores
from vertebra.duration import epochs as epochs_of
from vertebra.errors import CheckpointError, RecipeError
from vertebra.models.catalogue import catalogue_of
from vertebra.models.pretrained import PretrainedReport
from vertebra.models.shelf import nearest_name
from vertebra.models.weight_files import file_of
from vertebra.recipes.advise_choice import Choice, Trial, choose, explore
from vertebra.recipes.advise_reasons import Circumstances, busy, reasons, too_short, verdict
from vertebra.recipes.advise_rungs import (
    FEW_IMAGES,
    TUNED,
    Rung,
    Sizes,
    fresh_rungs,
    named_rungs,
    tuned_rungs,
)
from vertebra.recipes.advise_settings import Settings, settings
from vertebra.recipes.codec import to_data
from vertebra.recipes.fit import SMALL_PX, STRIDE, Fitted, fit, typical_side
from vertebra.recipes.materials import Materials
from vertebra.recipes.plan import Estimate, Speed, expect, measure
from vertebra.recipes.precision import fit_precision, in_precision
from vertebra.recipes.prepare import Prepared, prepare
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import leaves, vary

PLANNED = 0.95
"""Share of the time that is planned for; the rest is for starting, saving and the page."""


_SIZE = ("data", "data.preprocess", "data.preprocess.image_size")
"""Where a user may have set the image size."""


class Base(NamedTuple):
    """What a user has asked for, before it is fitted to the images.

    fixed: paths that the user has set; start: what the weights are that it starts from.
    """

    recipe: Recipe
    fixed: frozenset[str]
    start: PretrainedReport | None = None


Propose = Callable[[str | None, bool], Base]
"""(a model on the shelf, or None for the user's own; whether it starts from its published weights)
-> the base."""


class Wish(NamedTuple):
    """What a user has said.

    seconds:    to train in, evaluations included.
    is_open:    whether the model may be chosen; pretrained: whether it starts from weights.
    """

    seconds: float
    is_open: bool = True
    pretrained: bool = False


class Advice(NamedTuple):
    """What to train, fitted to the images.

    model, pretrained: what `propose` was asked for; changes: to its base, by path.
    reasons:           sentences; notes: what `fit` did.
    alternatives:      what was measured, small to large, each with why it was taken or not.
    measured_s:        seconds that the measuring took; planned_s: that the run may take.
    """

    recipe: Recipe
    prepared: Prepared
    estimate: Estimate
    choice: Choice
    model: str | None
    pretrained: bool
    changes: Mapping[str, Any]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    start: PretrainedReport | None
    alternatives: tuple[tuple[Trial, str], ...]
    measured_s: float
    planned_s: float


def advise(
    propose: Propose,
    materials: Materials,
    wish: Wish,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Advice:
    """Returns what to train in the time, having measured a handful of networks.

    Where the images are few and published weights on this machine, it starts from those even if
    that was not asked for; nothing is fetched.

    Raises:
        RecipeError: the time is too short for the smallest of them.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # before ours counts
    found = _find(propose, materials, wish, on_progress)
    warning = busy(load, usable_cores())
    return found if warning is None else found._replace(reasons=(*found.reasons, warning))


def _find(
    propose: Propose,
    materials: Materials,
    wish: Wish,
    on_progress: Callable[[int, int], None] | None,
) -> Advice:
    is_few = len(materials.train) < FEW_IMAGES
    if wish.is_open and not wish.pretrained and is_few and weights_here():
        try:
            tuned = wish._replace(pretrained=True)
            return _Search(propose, materials, tuned).advise(on_progress)
        except RecipeError:  # too short, but not for the smaller networks without weights
            pass
    return _Search(propose, materials, wish).advise(on_progress)


def weights_here() -> tuple[str, ...]:
    """Returns the models whose default weights are on this machine."""
    return tuple(filter(_is_here, TUNED))


def _is_here(model: str) -> bool:
    try:
        file_of(catalogue_of(model)[0], download=False)
    except CheckpointError:
        return False
    return True


class _Search:
    """Makes the recipes of rungs and measures them."""

    def __init__(self, propose: Propose, materials: Materials, wish: Wish) -> None:
        self._propose = propose
        self._materials = materials
        self._wish = wish
        self._seconds = PLANNED * wish.seconds
        self._side = typical_side(materials.train)
        self._measured: dict[Rung, tuple[Settings, tuple[Speed, ...]]] = {}
        self._faster: dict[Rung, Fitted] = {}
        here = weights_here() if wish.is_open and wish.pretrained else ()
        self._models: tuple[str | None, ...] = here or (None,)
        self._base = propose(self._models[0], wish.pretrained)
        self._sizes, self._batch_size = self._look()

    @property
    def _images(self) -> int:
        return len(self._materials.train)

    @property
    def _updates_per_epoch(self) -> float:
        return self._images / self._batch_size

    def advise(self, on_progress: Callable[[int, int], None] | None) -> Advice:
        began = time.perf_counter()
        found = explore(
            self._rungs(),
            self._measure,
            seconds=self._seconds,
            updates_per_epoch=self._updates_per_epoch,
            on_progress=on_progress,
        )
        trials = sorted(found.values(), key=lambda trial: trial.rung.relative_cost)
        choice = choose(trials, seconds=self._seconds, updates_per_epoch=self._updates_per_epoch)
        if choice is None:
            raise too_short(trials[0], self._circumstances())
        return self._settle(choice, trials, began)

    def _settle(self, choice: Choice, trials: list[Trial], began: float) -> Advice:
        """Returns the advice, having measured the choice again if its length changes the images
        otherwise than was foreseen."""
        rung, circumstances = choice.trial.rung, self._circumstances()
        if _pictures(self._settings(rung, choice.epochs)) != _pictures(self._measured[rung][0]):
            again = self._measure(rung, choice.epochs)
            trials = [again if trial.rung == rung else trial for trial in trials]
            choice = Choice(again, max(1, again.epochs_in(self._seconds)))
        base, changes = self._changes(choice)
        fitted = self._in_precision(rung, base, self._fitted(base, changes))
        prepared = prepare(fitted.recipe, materials=(self._materials,))
        why = self._settings(rung, choice.epochs).reasons
        return Advice(
            recipe=fitted.recipe,
            prepared=prepared,
            estimate=expect(prepared, self._measured[rung][1]),
            choice=choice,
            model=self._model(rung),
            pretrained=self._wish.pretrained,
            changes=changes,
            reasons=(*reasons(choice, trials, circumstances), *why),
            notes=fitted.notes,
            start=base.start,
            alternatives=tuple((each, verdict(each, choice, circumstances)) for each in trials),
            measured_s=time.perf_counter() - began,
            planned_s=self._seconds,
        )

    def _look(self) -> tuple[Sizes, int]:
        """Returns the image sizes to choose from, and the batch that suits the images."""
        data = self._fitted(self._base, {}).recipe.phases[0].data
        size = data.preprocess.image_size
        is_fixed = not self._base.fixed.isdisjoint(_SIZE)
        sizes = Sizes(
            fitted=size,
            largest=max(size, math.ceil(self._side / STRIDE) * STRIDE),
            is_free=not is_fixed and size >= SMALL_PX,
        )
        return sizes, data.batch_size

    def _rungs(self) -> tuple[Rung, ...]:
        if self._wish.pretrained:
            mine = nearest_name(self._base.recipe.model)
            models = tuple(model or mine for model in self._models)
            return tuned_rungs(models, self._sizes, images=self._images)
        if self._wish.is_open:
            return fresh_rungs(self._sizes)
        return named_rungs(nearest_name(self._base.recipe.model), self._sizes)

    def _model(self, rung: Rung) -> str | None:
        """Returns what `propose` is asked for."""
        is_chosen = self._models != (None,) if self._wish.pretrained else self._wish.is_open
        return rung.model if is_chosen else None

    def _measure(self, rung: Rung, epochs: int) -> Trial:
        base = self._propose(self._model(rung), self._wish.pretrained)
        how = self._settings(rung, epochs)
        changes = _size_of(rung, self._sizes) | how.changes
        fitted = self._fitted(base, _kept(changes, base))
        recipe = self._in_precision(rung, base, fitted).recipe
        prepared = prepare(recipe, materials=(self._materials,))
        macs = prepared.cost.macs
        try:
            speeds = measure(prepared, seconds=min(10.0, max(1.0, self._wish.seconds / 100)))
        except torch.OutOfMemoryError:
            return Trial(rung, macs, math.inf, math.inf, math.inf)
        self._measured[rung] = how, speeds
        speed = speeds[0]
        epoch = speed.step * self._updates_per_epoch
        return Trial(rung, macs, epoch, speed.evaluation, speed.report)

    def _settings(self, rung: Rung, epochs: int) -> Settings:
        if self._wish.pretrained:
            why = f"it starts from weights, so at most {rung.most} epochs (Big Transfer, 3.3)"
            return Settings({}, (why,))
        if rung.layers is None:
            return Settings({}, ())
        batch_size, updates = self._batch_size, epochs * self._updates_per_epoch
        return settings(rung, epochs=epochs, updates=updates, batch_size=batch_size)

    def _changes(self, choice: Choice) -> tuple[Base, dict[str, Any]]:
        rung = choice.trial.rung
        base = self._propose(self._model(rung), self._wish.pretrained)
        changes: dict[str, Any] = {"length": epochs_of(choice.epochs)}
        if choice.trial.evaluate_every > 1:
            changes["selection.every"] = epochs_of(choice.trial.evaluate_every)
        changes |= _size_of(rung, self._sizes) | self._settings(rung, choice.epochs).changes
        return base, _kept(changes, base)

    def _fitted(self, base: Base, changes: Mapping[str, Any]) -> Fitted:
        fixed = base.fixed | changes.keys()
        return fit(vary(base.recipe, changes), self._materials, fixed=fixed, start=base.start)

    def _in_precision(self, rung: Rung, base: Base, fitted: Fitted) -> Fitted:
        """Returns it in the precision that suits the rung, which is found out once."""
        if rung not in self._faster:
            self._faster[rung] = fit_precision(fitted.recipe, fixed=base.fixed)
        recipe, notes = self._faster[rung]
        same = in_precision(fitted.recipe, recipe.execution.precision)
        return Fitted(same, fitted.notes + notes)

    def _circumstances(self) -> Circumstances:
        return Circumstances(
            seconds=self._wish.seconds,
            planned=self._seconds,
            images=self._images,
            side_px=self._side,
            updates_per_epoch=self._updates_per_epoch,
        )


def _pictures(how: Settings) -> dict[str, Any]:
    """Returns the settings that make images quicker or slower to prepare."""
    return {path: value for path, value in how.changes.items() if path.startswith("data.")}


def _size_of(rung: Rung, sizes: Sizes) -> dict[str, Any]:
    """Returns the changes that make the network and its images so large; what `fit` does by itself
    is left to it."""
    changes: dict[str, Any] = {}
    if rung.image_size != sizes.fitted:
        changes["data.preprocess.image_size"] = rung.image_size
    if rung.width is not None:
        changes["model.width"] = rung.width
    return changes


def _kept(changes: Mapping[str, Any], base: Base) -> dict[str, Any]:
    """Returns the changes that the user has left open and that change anything."""
    now = leaves(base.recipe)

    def is_open(path: str) -> bool:
        same = (path == each or path.startswith(f"{each}.") for each in base.fixed)
        inside = (each.startswith(f"{path}.") for each in base.fixed)
        return not any((*same, *inside))

    return {
        path: value
        for path, value in changes.items()
        if is_open(path) and (path not in now or now[path] != to_data(value))
    }
