"""How an image is changed each time training sees it: crop, flip, operations, colour, mixing."""

from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from vertebra.contracts import Batch
from vertebra.data.blur import Blur
from vertebra.data.crops import Crop, RandomResizedCrop
from vertebra.data.draws import Draws
from vertebra.data.erase import Erase
from vertebra.data.jitter import ColorJitter
from vertebra.data.mixing import Mixing
from vertebra.data.operations import solarize
from vertebra.data.pixels import Pixels, picture_of, pixels_of
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.data.windows import REACH, matrices, resample
from vertebra.errors import RecipeError


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
        return solarize(image, 255 * self.threshold)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What is done to images in training, in this order; the default is a random crop and a flip.

    flip: probability of a mirror image; grayscale: that of one without colours.

    Crop to solarize are done to each picture by workers, or crop and flip to whole batches where
    there is nothing else; erase and mixing to the normalised batch. The draws of `sample`, `cover`
    and `mix` come from torch's generator: seed it (see `seeding`) and the result is the same.
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
            pixels = _mirrored(pixels)
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

    def takes_batches(self, preprocess: Preprocess) -> bool:
        """Returns whether `sample_batch` can do it: without colours and blur, without alpha, whose
        colours would need its weight, and with a filter that `windows` has."""
        is_plain = not (self.colours or self.blur)
        return is_plain and preprocess.channels < 4 and preprocess.interpolation in REACH

    @property
    def draws(self) -> int:
        """How many draws a picture takes in `sample_batch`."""
        return self.crop.draws + 1

    def sample_batch(self, images: Tensor, draws: Draws, preprocess: Preprocess) -> Tensor:
        """images: [N, H, C, W] uint8 -> a random version of each, [N, C, S, S] float32 from 0 to
        255, on the same device."""
        _, height, _, width = images.shape
        rows, columns = matrices(
            self.crop.windows(draws[:, 1:], (height, width), preprocess),
            draws[:, 0] < self.flip,
            sides=(height, width),
            size=preprocess.image_size,
            interpolation=preprocess.interpolation,
            device=images.device,
        )
        return resample(images, rows, columns)

    def cover(self, images: Tensor) -> Tensor:
        """images: [N, C, S, S] normalised -> the same with some rectangles erased."""
        return self.erase.sample(images) if self.erase else images

    def mix(self, batch: Batch, classes: int) -> Batch:
        """Returns a normalised batch, mixed; `classes` is the K of soft targets [N, K]."""
        return self.mixing.sample(batch, classes) if self.mixing else batch


def _mirrored(pixels: Pixels) -> Pixels:
    """pixels: [H, W, C] -> the same, from right to left; torch copies whole pixels, numpy bytes."""
    if not pixels.flags.writeable:  # torch takes no array that is marked as read only
        pixels = pixels.copy()
    return torch.from_numpy(pixels).flip(1).numpy()


def _happens(probability: float) -> bool:
    """Returns a draw; what is certain takes none."""
    return probability == 1 or torch.rand(()).item() < probability


def _require_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise RecipeError(f"{name}={value}; give a probability from 0 to 1")
