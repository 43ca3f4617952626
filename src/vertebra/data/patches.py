"""Patches cut out of one picture: a data set for whoever has no other images.

Source: A critical analysis of self-supervision, or what we can learn from a single image (2020),
and The Augmented Image Prior: Distilling 1000 Classes by Extrapolating from a Single Image (2023),
with the code of its authors.
Differs: patches are cut when they are asked for, each always the same, and not stored as JPEG.

    picture --> square of half its short side --> part of it --> turned, slanted --> centre, colours
                                                  1.4 S x 1.4 S                      S x S
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.decode import MODES
from vertebra.data.images import Split
from vertebra.data.jitter import ColorJitter
from vertebra.data.names import Names
from vertebra.data.photos import PHOTOS, open_photo
from vertebra.data.readers import Arrays, Reader
from vertebra.errors import DataError, RecipeError
from vertebra.seeding import seeded

if TYPE_CHECKING:
    from torchvision.transforms import v2

AREA = (1 / 500, 1.0)
RATIO = (3 / 4, 4 / 3)
DEGREES = 30.0
COLOURS = ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, probability=0.5)

SMALLEST_PX = 64
"""The short side that a picture has to have; several thousand are better."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Square patches of one picture, without labels.

    image:   the path of a picture, large and full of things; or "china" or "flower", the two that
             scikit-learn bundles.
    count:   so many different patches.
    size_px: their side.
    seed:    decides which ones, whatever the seed of the run.
    """

    image: str
    count: int = 50_000
    size_px: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.image:
            raise RecipeError(f"image=''; give a picture, or one of {', '.join(PHOTOS)}")
        if min(self.count, self.size_px) < 1 or self.seed < 0:
            raise RecipeError(
                f"count={self.count}, size_px={self.size_px}, seed={self.seed}; give a count and a "
                f"size of at least 1 and a seed of at least 0"
            )

    def open(self, *, seed: int) -> Split:
        """Returns the patches; the seed of the run has no say in them.

        Raises:
            DataError: the picture is missing, broken or too small.
        """
        del seed
        pixels = open_photo(self.image)
        if min(pixels.shape[:2]) < SMALLEST_PX:
            height, width = pixels.shape[:2]
            raise DataError(
                f"{self.image} has {width} x {height} pixels, too few to cut patches from; give a "
                f"picture of at least {SMALLEST_PX} on each side, better several thousand"
            )
        stem = Path(self.image).stem
        return Split(
            classes=(),
            labels=np.zeros(self.count, dtype=np.int64),
            names=Names.of(f"{stem}-{number:07d}" for number in range(self.count)),
            rows=np.arange(self.count),
            reader=Cutter(pixels, self.size_px, self.seed),
        )


@dataclass(frozen=True, eq=False)
class Cutter(Reader):
    """Cuts patch number `row`, a pure function of the seed, out of an image [H, W, 3]."""

    image: NDArray[np.uint8]
    size_px: int
    seed: int

    def content(self, row: int, name: str, *, limit: int | None = None) -> bytes:
        """Returns the patch as a portable pixmap."""
        patch = np.asarray(self.picture(row, name, 3))
        return Arrays(patch[None]).content(0, name, limit=limit)

    def picture(self, row: int, name: str, channels: int) -> Image.Image:
        """Returns the patch, side `size_px`."""
        del name
        with seeded(self.seed, "patch", row):
            patch = COLOURS.sample(_centre(_slant()(self._part()), self.size_px))
        return patch.convert(MODES[channels])

    def _part(self) -> Image.Image:
        """Returns a random part, wide enough for its centre to stay full when it is turned."""
        height, width = self.image.shape[:2]
        square = min(height, width) // 2
        top, left = _below(height - square + 1), _below(width - square + 1)
        wide, high = draw_sides(square)
        top, left = top + _below(square - high + 1), left + _below(square - wide + 1)
        part = np.ascontiguousarray(self.image[top : top + high, left : left + wide])
        side = math.floor(math.sqrt(2) * self.size_px)
        return Image.fromarray(part).resize((side, side), Image.Resampling.BICUBIC)


def draw_sides(square: int) -> tuple[int, int]:
    """Returns width and height of a random part of a square: its share of the area is even in
    `AREA`, its width by its height log-even in `RATIO`; drawn again until it fits inside."""
    while True:
        area = square**2 * torch.empty(()).uniform_(*AREA).item()
        ratio = math.exp(torch.empty(()).uniform_(math.log(RATIO[0]), math.log(RATIO[1])).item())
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 1 <= wide <= square and 1 <= high <= square:
            return wide, high


def _below(bound: int) -> int:
    return int(torch.randint(bound, ()).item())


def _centre(image: Image.Image, size: int) -> Image.Image:
    margin = (image.width - size) // 2
    return image.crop((margin, margin, margin + size, margin + size))


@lru_cache(maxsize=1)
def _slant() -> "v2.RandomAffine":
    from torchvision.transforms import InterpolationMode, v2  # takes five seconds

    both = (-DEGREES, DEGREES)
    return v2.RandomAffine(both, shear=both, interpolation=InterpolationMode.BILINEAR)
