"""The 16 operations of RandAugment as ResNet-RS and EfficientNet were trained with it.

Source: AutoAugment: Learning Augmentation Policies from Data (2019), table 6, and Revisiting
ResNets (2021).
Differs: Contrast turns around the mean of the grey picture, as Pillow's does; the first code turns
around a number that depends on the picture's size. Moves are rounded to pixels.
"""

from collections.abc import Callable, Mapping

import torch
from PIL import Image

from vertebra.data import operations as apply

Operation = Callable[[Image.Image, float, float], Image.Image]
"""Takes a picture in mode "L" or "RGB", the level (1 is full scale, not a limit), pixels' scale."""

_GREY = 128


def cutout(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Covers a square of side 80 pixels times level and scale, its centre anywhere."""
    half = int(40 * level * scale)
    x, y = (int(torch.randint(side, ()).item()) for side in image.size)
    image = image.copy()
    image.paste(_grey(image), (x - half, y - half, x + half, y + half))
    return image


def _either_sign(amount: float) -> float:
    return -amount if torch.rand(()).item() < 0.5 else amount


def _factor(level: float) -> float:
    return 0.1 + 1.8 * level


def _grey(image: Image.Image) -> apply.Fill:
    bands = len(image.getbands())
    return _GREY if bands == 1 else (_GREY,) * bands


def _shift(level: float, scale: float) -> int:
    return -round(_either_sign(100 * level * scale))


OPERATIONS: Mapping[str, Operation] = {
    "AutoContrast": lambda image, level, scale: apply.auto_contrast(image),
    "Equalize": lambda image, level, scale: apply.equalize(image),
    "Invert": lambda image, level, scale: apply.invert(image),
    "Rotate": lambda image, level, scale: apply.rotate(
        image, _either_sign(30 * level), _grey(image)
    ),
    "Posterize": lambda image, level, scale: apply.posterize(image, min(int(4 * level), 8)),
    "Solarize": lambda image, level, scale: apply.solarize(image, int(256 * level)),
    "SolarizeAdd": lambda image, level, scale: apply.raise_dark(image, int(110 * level)),
    "Color": lambda image, level, scale: apply.color(image, _factor(level)),
    "Contrast": lambda image, level, scale: apply.contrast(image, _factor(level)),
    "Brightness": lambda image, level, scale: apply.brightness(image, _factor(level)),
    "Sharpness": lambda image, level, scale: apply.sharpness(image, _factor(level)),
    "ShearX": lambda image, level, scale: apply.shear(
        image, _either_sign(0.3 * level), 0, _grey(image)
    ),
    "ShearY": lambda image, level, scale: apply.shear(
        image, 0, _either_sign(0.3 * level), _grey(image)
    ),
    "TranslateX": lambda image, level, scale: apply.translate(
        image, _shift(level, scale), 0, _grey(image)
    ),
    "TranslateY": lambda image, level, scale: apply.translate(
        image, 0, _shift(level, scale), _grey(image)
    ),
    "Cutout": cutout,
}
