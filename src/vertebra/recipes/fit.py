"""Fits a recipe to the images at hand: published settings assume a million images, most people have
fewer.

Every change is told; a value that the caller names in `fixed` stays as it is.
"""

import math
import re
from collections.abc import Collection
from statistics import median
from typing import Any, NamedTuple

from vertebra.data.images import Split
from vertebra.duration import Duration, epochs, steps
from vertebra.methods.two_views import TwoViews
from vertebra.models.pretrained import PretrainedReport
from vertebra.models.specs import network_in
from vertebra.recipes.materials import Materials
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import short_path, vary

SMALLEST_EPOCH = 16
"""An epoch has at least this many updates, where the smallest batch allows it."""

SMALLEST_BATCH, SMALLEST_COMPARED = 8, 64
"""Images in an update; in one of a method that learns by comparing them."""

STRIDE = 32
"""Image sizes are multiples of it: the coarsest map of a network is that many times smaller."""

SMALL_PX = 64
"""Up to this size a network keeps maps twice as fine by leaving out the pool of its stem."""

ENLARGED_PX = 128
"""A network that has no such pool gets smaller images enlarged to this, if its recipe goes so far.
"""


class Fitted(NamedTuple):
    """The recipe and a sentence for each change."""

    recipe: Recipe
    notes: tuple[str, ...]


def fit(
    recipe: Recipe,
    materials: Materials,
    *,
    fixed: Collection[str] = (),
    start: PretrainedReport | None = None,
) -> Fitted:
    """Returns the recipe with image size, batch size, rate and warm-up of each phase suited to
    `materials`, and with the size, mean and deviation of pixels that pretrained weights expect.

    The images are enlarged only for a network whose stem cannot be made finer; an epoch keeps
    enough updates; the rate moves with the batch; the warm-up takes at most a tenth of the phase.
    `fixed` holds paths as "data.batch_size". `start` is what the weights are that it starts from.
    """
    changes = _Changes(recipe, frozenset(fixed))
    side = typical_side(materials.train)
    for place in range(len(recipe.phases)):
        _fit_images(recipe, place, side, start, changes)
        _fit_length(recipe, place, len(materials.train), changes)
    return Fitted(vary(recipe, changes.values), tuple(changes.notes))


class _Changes:
    """The changes that are made, by path, and a sentence for each."""

    def __init__(self, recipe: Recipe, fixed: frozenset[str]) -> None:
        self._recipe = recipe
        self._fixed = fixed
        self.values: dict[str, Any] = {}
        self.notes: dict[str, None] = {}

    def make(self, path: str, before: object, after: object, reason: str) -> None:
        """Notes a change, unless there is none or the caller has fixed the value."""
        path = short_path(self._recipe, path)
        is_fixed = any(path == each or path.startswith(f"{each}.") for each in self._fixed)
        if before != after and not is_fixed:
            self.values[path] = after
            said = re.sub(r"^phases\.\d+\.", "", path)
            self.notes[f"{said}: {_said(before)} -> {_said(after)}, {reason}"] = None

    def get(self, path: str, default: Any) -> Any:
        """Returns what the value at `path` is changed to."""
        return self.values.get(short_path(self._recipe, path), default)


def _said(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _fit_images(
    recipe: Recipe, place: int, side: int, start: PretrainedReport | None, changes: _Changes
) -> None:
    """Suits the images' size to their own, and size and scale to what the weights have seen."""
    path = f"phases.{place}.data.preprocess"
    preprocess = recipe.phases[place].data.preprocess
    has_choice = start is None and "stem_pool" in vars(network_in(recipe.model)[1])
    largest = (start and start.image_size) or preprocess.image_size
    size = max(STRIDE if has_choice else ENLARGED_PX, math.ceil(side / STRIDE) * STRIDE)
    size = min(largest, size)
    reason = f"images are {side} px on their short side"
    if start and size == start.image_size:
        reason = "the size that the weights were trained at"
    changes.make(f"{path}.image_size", preprocess.image_size, size, reason)
    if not start:
        _fit_stem(recipe, size, changes)
    for name in ("mean", "std"):
        ours, theirs = getattr(preprocess, name), start and getattr(start, name)
        if theirs and len(theirs) == preprocess.channels:
            changes.make(f"{path}.{name}", ours, theirs, "as the weights were trained")


def _fit_stem(recipe: Recipe, size: int, changes: _Changes) -> None:
    """Leaves out the pool of the stem where the images have been made small."""
    model, network = network_in(recipe.model)
    stem_pool = getattr(network, "stem_pool", None)
    if changes.values and size <= SMALL_PX and stem_pool is not None:
        small = f"at {size} px it would leave maps of {size // STRIDE} px"
        changes.make(f"{model}.stem_pool", stem_pool, None, small)


def _fit_length(recipe: Recipe, place: int, images: int, changes: _Changes) -> None:
    """Suits batch, rate and warm-up to the number of images."""
    phase, path = recipe.phases[place], f"phases.{place}"
    batch = phase.data.batch_size
    least = SMALLEST_COMPARED if isinstance(phase.method, TwoViews) else SMALLEST_BATCH
    smaller = smaller_batch(batch, images, accumulate=phase.accumulate, least=least)
    changes.make(f"{path}.data.batch_size", batch, smaller, f"{images} images to learn from")
    now = changes.get(f"{path}.data.batch_size", batch)
    lr = phase.optimizer.lr_for(now / batch)
    changes.make(f"{path}.optimizer.lr", phase.optimizer.lr, lr, "the rate moves with the batch")
    warmup = shorter_warmup(phase.schedule.warmup, phase.length, images / now)
    before = str(phase.schedule.warmup)
    changes.make(f"{path}.schedule.warmup", before, str(warmup), "a tenth of the run")


def with_image_size(recipe: Recipe, image_size: int) -> Fitted:
    """Returns the recipe at another image size in every phase, its stem without a pool where that
    would leave too little of the image."""
    changes = _Changes(recipe, frozenset())
    for place, phase in enumerate(recipe.phases):
        path, before = f"phases.{place}.data.preprocess", phase.data.preprocess.image_size
        changes.make(f"{path}.image_size", before, image_size, "the size that it learns from")
    _fit_stem(recipe, image_size, changes)
    return Fitted(vary(recipe, changes.values), tuple(changes.notes))


def with_batch_size(recipe: Recipe, batch_size: int) -> Recipe:
    """Returns the recipe with another batch in every phase, its rate moved with it."""
    changes: dict[str, Any] = {}
    for place, phase in enumerate(recipe.phases):
        scale = batch_size / phase.data.batch_size
        changes[f"phases.{place}.data.batch_size"] = batch_size
        changes[f"phases.{place}.optimizer.lr"] = phase.optimizer.lr_for(scale)
    return vary(recipe, changes)


def smaller_batch(
    batch_size: int, images: int, *, accumulate: int = 1, least: int = SMALLEST_BATCH
) -> int:
    """Returns the batch, or a smaller one that leaves an epoch of `images` enough updates.

    It is a power of two times `accumulate`, at least `least`.
    """
    largest = max(least, images / SMALLEST_EPOCH) / accumulate
    return min(batch_size, accumulate * 2 ** max(0, int(math.log2(largest))))


def shorter_warmup(warmup: Duration, length: Duration, steps_per_epoch: float) -> Duration:
    """Returns the warm-up, but at most a tenth of the length, in the length's unit."""
    if warmup.to_steps(steps_per_epoch) <= length.to_steps(steps_per_epoch) / 10:
        return warmup
    if length.unit == "steps":
        return steps(int(length.value / 10))
    return epochs(round(length.value / 10, 2))


def typical_side(split: Split, *, sample: int = 64) -> int:
    """Returns the median short side in pixels of up to `sample` images spread over the split."""
    places = range(0, len(split), max(1, len(split) // sample))
    return int(median(min(split.open(place, 3).size) for place in places))
