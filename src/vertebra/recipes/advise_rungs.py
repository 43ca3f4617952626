"""The networks among which a plan chooses, each with the lengths of training that suit it.

Source: Revisiting ResNets (2021), section 6 and table 1: width pays in short training, depth in
long (10 epochs and 350; at 100 it depends), the resolution grows slowly; from 50 layers at full
width on the rows are the published ones, all trained for 350 epochs. Big Transfer (2020), section
3.3: how few images are few, and for how long to fine-tune on them.
Differs: the networks below the published rows are ours, and so are the bounds between 10 and 350
epochs, the updates a layer and the shortest fine-tuning; they were not tuned.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from vertebra.models.costs import costs
from vertebra.models.shelf import find_entry

FEWEST, MANY, MOST = 10, 100, 350
"""Epochs: of the shortest training that is worth it, from which on depth pays, and of the longest.
"""

UPDATES_A_LAYER = 100
"""A network beyond the smallest has to get so many; the published ones got 260 and more."""

FEW_IMAGES = 20_000
"""Below so many Big Transfer speaks of a small data set."""

TUNING_IMAGES = 256_000
"""Images that fine-tuning on few images sees there: 500 updates of 512."""

TUNED = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""The models among whose published weights a plan chooses."""

_SIZES = (64, 96, 128, 160, 192, 224, 256, 288, 320)

_RESNET_RS = (  # layers, width, image size, least and most epochs
    (26, 0.25, 64, FEWEST, MOST),
    (26, 0.25, 96, 30, MOST),
    (26, 0.5, 96, 30, MANY),
    (26, 0.5, 128, 30, MANY),
    (26, 1.0, 128, 60, MANY),
    (26, 1.0, 160, 60, MANY),
    (50, 0.25, 96, MANY, MOST),
    (101, 0.25, 128, MANY, MOST),
    (152, 0.25, 128, MANY, MOST),
    (50, 0.5, 128, MANY, MOST),
    (101, 0.5, 128, MANY, MOST),
    (152, 0.5, 160, MANY, MOST),
    (50, 1.0, 160, MANY, MOST),
    (101, 1.0, 160, MANY, MOST),
    (101, 1.0, 192, MANY, MOST),
    (152, 1.0, 192, MANY, MOST),
    (152, 1.0, 224, MANY, MOST),
    (152, 1.0, 256, MANY, MOST),
    (200, 1.0, 256, MANY, MOST),
    (270, 1.0, 256, MANY, MOST),
    (350, 1.0, 256, MANY, MOST),
    (350, 1.0, 320, MANY, MOST),
    (420, 1.0, 320, MANY, MOST),
)


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A network at an image size, and the lengths of training for which it is meant.

    model:         on the shelf.
    width:         in place of the model's own; None leaves it.
    layers:        None where no rule depends on them.
    least, most:   epochs; it is not worth training for fewer, nor for more.
    least_updates: that it has to get besides.
    """

    model: str
    image_size: int
    least: int = FEWEST
    most: int = MOST
    width: float | None = None
    layers: int | None = None
    least_updates: int = 0

    @property
    def title(self) -> str:
        """What it is called for people: "resnetrs26 x0.25 at 96 px"."""
        wide = "" if self.width in (None, 1) else f" x{self.width:g}"
        return f"{self.model}{wide} at {self.image_size} px"

    @property
    def relative_cost(self) -> float:
        """About its multiply-adds, to compare rungs by before they are counted."""
        cost, native = costs().get(self.model), find_entry(self.model).image_size
        return (cost.macs if cost else 1) * (self.width or 1) ** 2 * (self.image_size / native) ** 2

    def epochs_needed(self, updates_per_epoch: float) -> int:
        """Returns the fewest epochs for which it is worth training; more than `most` is never."""
        return max(self.least, math.ceil(self.least_updates / updates_per_epoch))


def fresh_rungs(sizes: "Sizes") -> tuple[Rung, ...]:
    """Returns the ResNet-RS family, with smaller networks before the published ones."""
    smallest = _RESNET_RS[0][:2]
    rungs = (
        Rung(
            model=f"resnetrs{layers}",
            image_size=sizes.nearest(size),
            least=least,
            most=most,
            width=width,
            layers=layers,
            least_updates=0 if (layers, width) == smallest else UPDATES_A_LAYER * layers,
        )
        for layers, width, size, least, most in _RESNET_RS
    )
    return _each_once(rungs)


def named_rungs(model: str, sizes: "Sizes") -> tuple[Rung, ...]:
    """Returns one model at several image sizes, to be trained from fresh weights."""
    native = find_entry(model).image_size
    return tuple(Rung(model=model, image_size=size) for size in sizes.up_to(native))


def tuned_rungs(models: Collection[str], sizes: "Sizes", *, images: int) -> tuple[Rung, ...]:
    """Returns models that start from published weights, at a small size and at that of the
    weights."""
    most = int(min(MANY, max(20, TUNING_IMAGES / images)))
    return _each_once(
        Rung(model=model, image_size=size, least=5, most=most)
        for model in models
        for size in (sizes.nearest(128), sizes.fitted)
    )


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What image sizes there are to choose from.

    fitted:  the size that the recipe would take by itself; largest: that of the images, up to the
             next multiple of 32.
    is_free: whether the size may be another one than the fitted.
    """

    fitted: int
    largest: int
    is_free: bool = True

    def nearest(self, size: int) -> int:
        """Returns the size, or what comes nearest to it."""
        return min(size, self.largest) if self.is_free else self.fitted

    def up_to(self, most: int) -> tuple[int, ...]:
        """Returns the sizes up to `most`, small to large."""
        if not self.is_free:
            return (self.fitted,)
        most = max(self.fitted, min(most, self.largest))
        return tuple(sorted({self.fitted, *(size for size in _SIZES if size <= most)}))


def _each_once(rungs: Iterable[Rung]) -> tuple[Rung, ...]:
    """Returns the rungs by cost; of two that are the same at small images, the first one."""
    kept: dict[tuple[str, float | None, int], Rung] = {}
    for rung in rungs:
        kept.setdefault((rung.model, rung.width, rung.image_size), rung)
    return tuple(sorted(kept.values(), key=lambda rung: rung.relative_cost))
