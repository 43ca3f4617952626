"""What turns a picture into a model's input in evaluation and use; a trained model carries it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vertebra.data.decode import MODES
from vertebra.data.pixels import Pixels, pixels_of
from vertebra.data.resize import RESAMPLING, Interpolation
from vertebra.errors import RecipeError

# ImageNet's mean and deviation; grey: its luma; alpha: mostly opaque
_STATISTICS = {
    1: ((0.449,), (0.226,)),
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    4: ((0.485, 0.456, 0.406, 0.5), (0.229, 0.224, 0.225, 0.5)),
}


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Size and scale of a model's input.

    image_size:    height and width in pixels.
    channels:      1 (grey), 3 (colour) or 4 (colour and alpha).
    mean, std:     of each channel, for pixels in [0, 1]; `for_channels` gives ImageNet's.
    crop_fraction: share of the short side that is kept: it is resized to image_size /
                   crop_fraction, then the centre is cut out. 1.0 keeps the whole short side.
    """

    image_size: int = 224
    channels: int = 3
    mean: tuple[float, ...] = _STATISTICS[3][0]
    std: tuple[float, ...] = _STATISTICS[3][1]
    interpolation: Interpolation = "bicubic"
    crop_fraction: float = 0.875

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise RecipeError(f"image_size={self.image_size}; give at least 1 pixel")
        if self.channels not in MODES:
            raise RecipeError(f"channels={self.channels}; images have 1, 3 or 4")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            mean, std = _STATISTICS[self.channels]
            raise RecipeError(
                f"channels={self.channels} but mean has {len(self.mean)} values and std "
                f"{len(self.std)}; give one for each channel, e.g. mean={mean} and std={std}"
            )
        if min(self.std) <= 0:
            raise RecipeError(f"std={self.std}; every deviation must be above zero")
        if not 0 < self.crop_fraction <= 1:
            raise RecipeError(f"crop_fraction={self.crop_fraction}; give a share in (0, 1]")
        if self.interpolation not in RESAMPLING:
            raise RecipeError(
                f"interpolation={self.interpolation!r}; choose one of {', '.join(RESAMPLING)}"
            )

    @classmethod
    def for_channels(cls, channels: int, *, image_size: int = 224) -> "Preprocess":
        """Returns the default with ImageNet's mean and deviation for 1, 3 or 4 channels."""
        mean, std = _STATISTICS.get(channels, ((), ()))
        return cls(image_size=image_size, channels=channels, mean=mean, std=std)

    def evaluation(self, image: Image.Image) -> Tensor:
        """Returns the centre of the picture: uint8 [C, S, S]."""
        return pack([pixels_of(self.centre(image))])[0]

    def centre(self, image: Image.Image, *, crop_fraction: float | None = None) -> Image.Image:
        """Returns the resized centre, size S: torchvision's Resize and CenterCrop but for rounding.

        Only the pixels that are kept are computed: a strip of 1 x 10000 would swell to gigabytes.
        """
        box = self.box(*image.size, crop_fraction=crop_fraction)
        size = (self.image_size, self.image_size)
        return image.resize(size, RESAMPLING[self.interpolation], box=box)

    def box(
        self, width: int, height: int, *, crop_fraction: float | None = None
    ) -> tuple[float, float, float, float]:
        """Returns left, top, right and bottom of the centre of a picture of this size."""
        size = self.image_size
        short = max(size, round(size / (crop_fraction or self.crop_fraction)))
        wide, high = (side * short // min(width, height) for side in (width, height))  # resized
        left, top = round((wide - size) / 2), round((high - size) / 2)
        x, y = width / wide, height / high  # a resized pixel's sides in the picture
        # rounding must not put the box outside
        return left * x, top * y, min((left + size) * x, width), min((top + size) * y, height)

    def normalize(self, images: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """images: [..., C, S, S] from 0 to 255 -> the same shape and layout in `dtype`, (x / 255 -
        mean) / std; floats are overwritten."""
        mean, std = (_in_bytes(tuple(each), images.device) for each in (self.mean, self.std))
        if images.ndim == 4 and images.is_contiguous(memory_format=torch.channels_last):
            # whole rows at once: three channels alone are too few to vectorise over
            count, channels, high, wide = images.shape
            rows = images.permute(0, 2, 3, 1).reshape(count * high, wide * channels)
            rows = rows.to(torch.float32).sub_(mean.repeat(wide)).div_(std.repeat(wide))
            pixels = rows.to(dtype).view(count, high, wide, channels)
            return pixels.permute(0, 3, 1, 2)  # [N, H, W, C] -> [N, C, H, W]
        mean, std = mean.view(-1, 1, 1), std.view(-1, 1, 1)
        return images.to(torch.float32).sub_(mean).div_(std).to(dtype)


@lru_cache(maxsize=16)
def _in_bytes(statistic: tuple[float, ...], device: torch.device) -> Tensor:
    """Returns the mean or deviation of pixels in [0, 255]: [C] on `device`.

    Kept, since a copy from common memory waits for all that the device has to do.
    """
    with torch.inference_mode(False):  # else training could not use what evaluation has made
        return torch.tensor(statistic, device=device).mul(255)


def pack(pictures: Sequence[Pixels]) -> Tensor:
    """Returns pictures of one size as a tensor: uint8 [N, C, H, W], channels last."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)  # [N, H, W, C] -> [N, C, H, W]
