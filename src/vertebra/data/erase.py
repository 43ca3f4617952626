"""Random erasing: a rectangle of a normalised image is covered.

Source: Random Erasing Data Augmentation (2017), algorithm 1.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms import v2

from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Erase:
    """With `probability`, covers a rectangle of each image.

    area:   its share of the image, drawn evenly from this range.
    aspect: its height by its width, drawn evenly in the logarithm.
    mode:   "constant" covers with 0, the mean of normalised images; "pixel" with standard normal
            noise.
    """

    probability: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    aspect: tuple[float, float] = (0.3, 1 / 0.3)
    mode: Literal["constant", "pixel"] = "pixel"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise RecipeError(f"probability={self.probability}; give a share from 0 to 1")
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise RecipeError(f"area={self.area}; give a smallest and a largest share in (0, 1]")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise RecipeError(f"aspect={self.aspect}; give a smallest and a largest ratio above 0")
        if self.mode not in ("constant", "pixel"):
            raise RecipeError(f"mode={self.mode!r}; choose constant or pixel")

    def sample(self, images: Tensor) -> Tensor:
        """images: [N, C, H, W] normalised -> [N, C, H, W], each image with its own draw."""
        cover, erased = _cover(self), images.clone()
        for image in erased.unbind():
            if torch.rand(1) >= self.probability:
                continue
            drawn = cover.make_params([image])
            top, left, height, width = (drawn[name] for name in "ijhw")
            if drawn["v"] is not None:  # a rectangle fits
                image[:, top : top + height, left : left + width] = _sent(drawn["v"], images.device)
        return erased


def _sent(value: Tensor, device: torch.device) -> Tensor:
    """Returns the value on the device; to CUDA from pinned memory, else each copy would wait for
    all that the device has to do."""
    return (value.pin_memory() if device.type == "cuda" else value).to(device, non_blocking=True)


@lru_cache(maxsize=4)
def _cover(spec: Erase) -> v2.RandomErasing:
    value = {"constant": 0.0, "pixel": "random"}[spec.mode]
    return v2.RandomErasing(spec.probability, spec.area, spec.aspect, value=value)  # pyright: ignore[reportArgumentType]  # "random" is documented
