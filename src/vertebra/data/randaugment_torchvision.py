"""The 14 operations of RandAugment as torchvision has it, magnitudes in bins from 0 to 30.

Source: torchvision's RandAugment, whose draws and pixels these are to the bit, in less time.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from PIL import Image

from vertebra.data import operations as apply

Operation = Callable[[Image.Image, int], Image.Image]
"""Takes a picture in mode "L" or "RGB", and the bin of the magnitude."""

BINS = 31

_BLACK = 0


@lru_cache(maxsize=64)
def _spaced(first: float, last: float, at: int) -> float:
    """Returns one of evenly spaced numbers; kept, as it is slow to have, and rounded to float32."""
    return torch.linspace(first, last, BINS)[at].item()


def _signed(most: float, at: int) -> float:
    amount = _spaced(0, most, at)
    return -amount if torch.rand(()).item() <= 0.5 else amount


def _factor(at: int) -> float:
    return 1 + _signed(0.9, at)


def _shift(side: int, at: int) -> int:
    return int(_signed(150 / 331 * side, at))


OPERATIONS: Mapping[str, Operation] = {
    "Identity": lambda image, at: image,
    "ShearX": lambda image, at: apply.shear(image, _signed(0.3, at), 0, _BLACK),
    "ShearY": lambda image, at: apply.shear(image, 0, _signed(0.3, at), _BLACK),
    "TranslateX": lambda image, at: apply.translate(image, _shift(image.width, at), 0, _BLACK),
    "TranslateY": lambda image, at: apply.translate(image, 0, _shift(image.height, at), _BLACK),
    "Rotate": lambda image, at: apply.rotate(image, _signed(30, at), _BLACK),
    "Brightness": lambda image, at: apply.brightness(image, _factor(at)),
    "Color": lambda image, at: apply.color(image, _factor(at)),
    "Contrast": lambda image, at: apply.contrast(image, _factor(at)),
    "Sharpness": lambda image, at: apply.sharpness(image, _factor(at)),
    "Posterize": lambda image, at: apply.posterize(image, round(8 - 4 * at / (BINS - 1))),
    "Solarize": lambda image, at: apply.solarize(image, 255 * _spaced(1, 0, at)),
    "AutoContrast": lambda image, at: apply.auto_contrast(image),
    "Equalize": lambda image, at: apply.equalize(image),
}
"""In the order of torchvision's draws."""
