"""Which part of an image training sees: crops of one picture, or of a whole batch at once.

`sample` draws from torch's generator, `windows` takes its draws: numbers for many pictures are best
drawn at once. Other numbers, but the same distribution.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from vertebra.data.draws import Draws
from vertebra.data.pixels import Pixels, picture_of, pixels_of
from vertebra.data.preprocess import Preprocess
from vertebra.data.rectangles import DRAWS, TRIES, Range, rectangles
from vertebra.data.resize import resized
from vertebra.data.windows import Windows
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop:
    """A part of the picture, resized to the input: the usual crop for photographs.

    scale: its share of the picture's area, drawn evenly; ratio: its width by its height, drawn
    evenly in the logarithm. A part that sticks out is drawn again; after ten, the largest centre
    of an allowed ratio is taken.

    Source: Going Deeper with Convolutions (2014), section 6; the ten are torchvision's, and so is
    the order of the draws.
    """

    draws: ClassVar[int] = DRAWS
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise RecipeError(f"scale={self.scale}; give a smallest and a largest share in (0, 1]")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise RecipeError(f"ratio={self.ratio}; give a smallest and a largest ratio above 0")

    def sample(self, pixels: Pixels, preprocess: Preprocess) -> Pixels:
        """pixels: [H, W, C] -> a random part, [S, S, C]."""
        height, width, _ = pixels.shape
        left, top, right, bottom = self.box(width, height)
        part = pixels[top:bottom, left:right]
        return resized(part, preprocess.image_size, preprocess.interpolation)

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Returns left, top, right and bottom of a random part of a picture of this size."""
        (least, most), (low, high) = self.scale, map(math.log, self.ratio)
        for _ in range(TRIES):
            share, place = torch.rand(2).tolist()
            area = width * height * (least + share * (most - least))
            ratio = math.exp(low + place * (high - low))
            wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < wide <= width and 0 < tall <= height:
                top, left = _below(height - tall + 1), _below(width - wide + 1)
                return left, top, left + wide, top + tall
        return self._centre(width, height)

    def windows(self, draws: Draws, size: tuple[int, int], preprocess: Preprocess) -> Windows:
        """Returns boxes of random parts of pictures of a size, height and width."""
        del preprocess
        height, width = size
        drawn = rectangles(
            draws,
            size,
            share=self.scale,
            ratio=self.ratio,
            tall=Range(1, height),
            wide=Range(1, width),
        )
        start, sides = np.stack(drawn[:2]), np.stack(drawn[2:4])  # [2, N], down and across
        left, top, right, bottom = self._centre(width, height)
        start = np.where(drawn.found, start, np.array([[top], [left]])).astype(np.float64)
        sides = np.where(drawn.found, sides, np.array([[bottom - top], [right - left]]))
        return Windows.cut(start, start + sides)

    def _centre(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Returns the largest box of an allowed ratio."""
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        wide, tall = min(width, round(height * ratio)), min(height, round(width / ratio))
        left, top = (width - wide) // 2, (height - tall) // 2
        return left, top, left + wide, top + tall


@dataclass(frozen=True, kw_only=True)
class PadCrop:
    """The picture resized to the input, padded, and cut back to it anywhere: for small images.

    Source: Deep Residual Learning for Image Recognition (2015), section 4.2, with padding 4 at 32
    px.
    """

    draws: ClassVar[int] = 2
    padding: int = 4

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise RecipeError(f"padding={self.padding}; give zero or more pixels")

    def sample(self, pixels: Pixels, preprocess: Preprocess) -> Pixels:
        """pixels: [H, W, C] -> [S, S, C], moved by up to `padding`; what is bare is black."""
        size, padding = preprocess.image_size, self.padding
        left, top = torch.randint(2 * padding + 1, (2,)).tolist()
        if pixels.shape[:2] != (size, size):
            pixels = pixels_of(preprocess.centre(picture_of(pixels), crop_fraction=1.0))
        around = size + 2 * padding
        padded = np.zeros((around, around, pixels.shape[2]), np.uint8)
        padded[padding : padding + size, padding : padding + size] = pixels
        return padded[top : top + size, left : left + size]

    def windows(self, draws: Draws, size: tuple[int, int], preprocess: Preprocess) -> Windows:
        """Returns boxes of moved pictures of a size, height and width."""
        shift = np.floor(draws * (2 * self.padding + 1)) - self.padding  # [N, 2]
        return _centres(preprocess, size, shift, crop_fraction=1.0)


@dataclass(frozen=True, kw_only=True)
class Resize:
    """The centre as in evaluation, without chance."""

    draws: ClassVar[int] = 0

    def sample(self, pixels: Pixels, preprocess: Preprocess) -> Pixels:
        """pixels: [H, W, C] -> the centre, [S, S, C]."""
        return pixels_of(preprocess.centre(picture_of(pixels)))

    def windows(self, draws: Draws, size: tuple[int, int], preprocess: Preprocess) -> Windows:
        """Returns boxes of the centres of pictures of a size, height and width."""
        return _centres(preprocess, size, np.zeros((len(draws), 2)))


def _centres(
    preprocess: Preprocess,
    size: tuple[int, int],
    shift: NDArray[np.float64],
    *,
    crop_fraction: float | None = None,
) -> Windows:
    """Returns boxes of centres that are moved by `shift` [N, 2], down and across."""
    height, width = size
    box = preprocess.box(width, height, crop_fraction=crop_fraction)
    return Windows.alike(box, size, shift=shift.T)


Crop = RandomResizedCrop | PadCrop | Resize


def _below(end: int) -> int:
    return int(torch.randint(end, ()).item())
