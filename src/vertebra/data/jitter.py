"""Random colours: brightness, contrast, saturation and hue, in random order.

Source: the jitter of torchvision, whose draws and pixels it repeats, at a fraction of its time on
small pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from vertebra.data import operations
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Random colour: each factor from [1 - x, 1 + x], hue moved by up to `hue` of the circle.

    The four are done in random order, to a picture with `probability`.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise RecipeError(f"probability={self.probability}; give a probability from 0 to 1")
        if min(self.brightness, self.contrast, self.saturation) < 0 or not 0 <= self.hue <= 0.5:
            raise RecipeError(
                f"brightness={self.brightness}, contrast={self.contrast}, "
                f"saturation={self.saturation}, hue={self.hue}; give zero or more, hue at most 0.5"
            )

    def sample(self, image: Image.Image) -> Image.Image:
        """Returns the picture, in mode "L" or "RGB", with other colours, or as it is."""
        if self.probability < 1 and torch.rand(()).item() >= self.probability:
            return image
        order = torch.randperm(len(_CHANGES)).tolist()
        extents = (self.brightness, self.contrast, self.saturation)
        amounts = [
            _drawn(max(0.0, 1 - extent), 1 + extent) if extent else None for extent in extents
        ]
        amounts.append(_drawn(-self.hue, self.hue) if self.hue else None)
        for place in order:
            amount = amounts[place]
            if amount is not None:
                image = _CHANGES[place](image, amount)
        return image


def _drawn(low: float, high: float) -> float:
    return torch.empty(1).uniform_(low, high).item()


def _turned(image: Image.Image, share: float) -> Image.Image:
    """Moves hues along the circle, of which 256 are told apart."""
    if image.mode == "L":
        return image
    pixels = np.array(image.convert("HSV"))
    pixels[..., 0] += np.int32(share * 255).astype(np.uint8)  # around the circle, by overflow
    return Image.fromarray(pixels, "HSV").convert("RGB")


_CHANGES: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    operations.brightness,
    operations.contrast,
    operations.color,
    _turned,
)
"""In the order of torchvision's draws."""
