"""Fits a recipe to the images at hand: published settings assume a million images, most people have
fewer.

Every change is told; a value that the caller names in `fixed` stays as it is.
"""

import math
from collections.abc import Collection
from statistics import median
from typing import Any, NamedTuple

from vertebra.data.images import Split
from vertebra.duration import Duration, epochs, steps
from vertebra.recipes.materials import Materials
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary

SMALLEST_EPOCH = 16
"""An epoch has at least this many updates, where a batch of 8 images or more allows it."""

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


def fit(recipe: Recipe, materials: Materials, *, fixed: Collection[str] = ()) -> Fitted:
    """Returns a recipe of one phase with image size, batch size, rate and warm-up suited to
    `materials`.

    The images are enlarged only for a network whose stem cannot be made finer; an epoch keeps
    enough updates; the rate moves linearly with the batch (Bag of Tricks, section 3.1); the warm-up
    takes at most a tenth of the run. `fixed` holds
    paths as "data.batch_size".
    """
    if len(recipe.phases) != 1:
        return Fitted(recipe, ())
    notes: list[str] = []
    changes: dict[str, Any] = {}
    phase = recipe.phases[-1]

    def change(path: str, before: object, after: object, reason: str) -> None:
        is_fixed = any(path == each or path.startswith(f"{each}.") for each in fixed)
        if before != after and not is_fixed:
            changes[path] = after
            notes.append(f"{path}: {before} -> {after}, {reason}")

    side = typical_side(materials.splits.train)
    smallest = STRIDE if "stem_pool" in vars(recipe.model) else ENLARGED_PX
    stem_pool = getattr(recipe.model, "stem_pool", None)
    size = max(smallest, math.ceil(side / STRIDE) * STRIDE)
    size = min(phase.data.preprocess.image_size, size)
    change("data.preprocess.image_size", phase.data.preprocess.image_size, size,
           f"images are {side} px on their short side")  # fmt: skip
    if changes and size <= SMALL_PX and stem_pool is not None:
        change("model.stem_pool", stem_pool, None,
               f"at {size} px it would leave maps of {size // STRIDE} px")  # fmt: skip
    images = len(materials.splits.train)
    batch = phase.data.batch_size
    smaller = smaller_batch(batch, images, accumulate=phase.accumulate)
    change("data.batch_size", batch, smaller, f"{images} images to learn from")
    batch = changes.get("data.batch_size", batch)
    lr = phase.optimizer.lr * batch / phase.data.batch_size
    change("optimizer.lr", phase.optimizer.lr, lr, "the rate moves with the batch")
    warmup = shorter_warmup(phase.schedule.warmup, phase.length, images / batch)
    change("schedule.warmup", str(phase.schedule.warmup), str(warmup), "a tenth of the run")
    return Fitted(vary(recipe, changes), tuple(notes))


def with_batch_size(recipe: Recipe, batch_size: int) -> Recipe:
    """Returns the recipe with another batch in every phase, its rate moved linearly with it."""
    changes: dict[str, Any] = {}
    for place, phase in enumerate(recipe.phases):
        scale = batch_size / phase.data.batch_size
        changes[f"phases.{place}.data.batch_size"] = batch_size
        changes[f"phases.{place}.optimizer.lr"] = phase.optimizer.lr * scale
    return vary(recipe, changes)


def smaller_batch(batch_size: int, images: int, *, accumulate: int = 1) -> int:
    """Returns the batch, or a smaller one that leaves an epoch of `images` enough updates.

    It is a power of two times `accumulate`, at least 8.
    """
    largest = max(8, images / SMALLEST_EPOCH) / accumulate
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
