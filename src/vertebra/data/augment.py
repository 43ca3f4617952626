"""How an image is changed each time training sees it: crop, flip, operations, colour, mixing."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vertebra.contracts import Batch
from vertebra.data.blur import Blur
from vertebra.data.erase import Erase
from vertebra.data.jitter import ColorJitter
from vertebra.data.mixing import Mixing
from vertebra.data.pixels import Pixels, picture_of, pixels_of
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.data.resize import resized
from vertebra.errors import RecipeError

_CROPS = 10


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop:
    """A part of the picture, resized to the input: the usual crop for photographs.

    scale: its share of the picture's area, drawn evenly; ratio: its width by its height, drawn
    evenly in the logarithm. A part that sticks out is drawn again; after ten, the largest centre
    of an allowed ratio is taken.

    Source: Going Deeper with Convolutions (2014), section 6; the ten are torchvision's, and so is
    the order of the draws.
    """

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
        for _ in range(_CROPS):
            share, place = torch.rand(2).tolist()
            area = width * height * (least + share * (most - least))
            ratio = math.exp(low + place * (high - low))
            wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < wide <= width and 0 < tall <= height:
                top, left = _below(height - tall + 1), _below(width - wide + 1)
                return left, top, left + wide, top + tall
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


@dataclass(frozen=True, kw_only=True)
class Resize:
    """The centre as in evaluation, without chance."""

    def sample(self, pixels: Pixels, preprocess: Preprocess) -> Pixels:
        """pixels: [H, W, C] -> the centre, [S, S, C]."""
        return pixels_of(preprocess.centre(picture_of(pixels)))


@dataclass(frozen=True, kw_only=True)
class Solarize:
    """With `probability`, inverts the pixels at `threshold`, in [0, 1] of their range, and above.

    Source: Bootstrap Your Own Latent (2020), appendix B.
    """

    probability: float = 0.2
    threshold: float = 0.5

    def __post_init__(self) -> None:
        _require_probability("probability", self.probability)
        if not 0 <= self.threshold <= 1:
            raise RecipeError(f"threshold={self.threshold}; give a share of the range from 0 to 1")

    def sample(self, image: Image.Image) -> Image.Image:
        """Returns the picture, solarised or not."""
        if not _happens(self.probability):
            return image
        return ImageOps.solarize(image, math.ceil(255 * self.threshold))


Crop = RandomResizedCrop | PadCrop | Resize


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What is done to images in training, in this order; the default is a random crop and a flip.

    flip: probability of a mirror image; grayscale: that of one without colours.

    Crop to solarize are done to each picture by workers, erase and mixing to the normalised batch.
    Every draw comes from torch's generator: seed it (see `seeding`) and the result is the same.
    """

    crop: Crop = field(default_factory=RandomResizedCrop)
    flip: float = 0.5
    rand_augment: RandAugment | None = None
    jitter: ColorJitter | None = None
    grayscale: float = 0.0
    blur: Blur | None = None
    solarize: Solarize | None = None
    erase: Erase | None = None
    mixing: Mixing | None = None

    def __post_init__(self) -> None:
        _require_probability("flip", self.flip)
        _require_probability("grayscale", self.grayscale)

    @property
    def colours(self) -> tuple[str, ...]:
        """The names of those given that know grey and colour only."""
        names = ("rand_augment", "jitter", "grayscale", "solarize")
        return tuple(name for name in names if getattr(self, name))

    def check(self, preprocess: Preprocess) -> None:
        """Refuses what does not work with that input.

        Raises:
            RecipeError: colour operations on images with alpha.
        """
        if preprocess.channels == 4 and self.colours:
            raise RecipeError(
                f"channels=4 with {' or '.join(self.colours)}, for grey and colour only; "
                f"use 1 or 3 channels"
            )

    def sample(self, pixels: Pixels, preprocess: Preprocess) -> Pixels:
        """pixels: [H, W, C] -> one random version, [S, S, C]."""
        pixels = self.crop.sample(pixels, preprocess)
        if torch.rand(()).item() < self.flip:
            pixels = pixels[:, ::-1]
        if not (self.colours or self.blur):
            return pixels
        return pixels_of(self._changed(picture_of(pixels)))

    def _changed(self, image: Image.Image) -> Image.Image:
        if self.rand_augment:
            image = self.rand_augment.sample(image)
        if self.jitter:
            image = self.jitter.sample(image)
        if self.grayscale and _happens(self.grayscale):
            image = image.convert("L").convert(image.mode)
        if self.blur:
            image = self.blur.sample(image)
        return self.solarize.sample(image) if self.solarize else image

    def cover(self, images: Tensor) -> Tensor:
        """images: [N, C, S, S] normalised -> the same with some rectangles erased."""
        return self.erase.sample(images) if self.erase else images

    def mix(self, batch: Batch, classes: int) -> Batch:
        """Returns a normalised batch, mixed; `classes` is the K of soft targets [N, K]."""
        return self.mixing.sample(batch, classes) if self.mixing else batch


def _below(end: int) -> int:
    return int(torch.randint(end, ()).item())


def _happens(probability: float) -> bool:
    """Returns a draw; what is certain takes none."""
    return probability == 1 or torch.rand(()).item() < probability


def _require_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise RecipeError(f"{name}={value}; give a probability from 0 to 1")
