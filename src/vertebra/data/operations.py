"""The 16 operations of RandAugment as ResNet-RS and EfficientNet were trained with it.

Source: AutoAugment: Learning Augmentation Policies from Data (2019), table 6, and Revisiting
ResNets (2021).
Differs: Contrast turns around the mean of the grey picture, as Pillow's does; the first code turns
around a number that depends on the picture's size. Moves are rounded to pixels.
"""

from collections.abc import Callable, Mapping

import torch
from PIL import Image, ImageEnhance, ImageOps

Operation = Callable[[Image.Image, float, float], Image.Image]
"""Takes a picture in mode "L" or "RGB", the level (1 is full scale, not a limit), pixels' scale."""

_GREY = 128


def auto_contrast(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Stretches each channel to [0, 255]."""
    del level, scale
    return ImageOps.autocontrast(image)


def equalize(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Makes each channel's histogram flat."""
    del level, scale
    return ImageOps.equalize(image)


def invert(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Makes a negative."""
    del level, scale
    return ImageOps.invert(image)


def rotate(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Turns by 30 degrees times level, to either side."""
    del scale
    return image.rotate(_either_sign(30 * level), fillcolor=_grey(image))


def posterize(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Keeps the highest 4 bits times level: more of the picture at higher levels."""
    del scale
    return ImageOps.posterize(image, min(int(4 * level), 8))


def solarize(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Inverts values from 256 times level on: fewer of them at higher levels."""
    del scale
    return ImageOps.solarize(image, int(256 * level))


def solarize_add(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Raises values below 128 by 110 times level."""
    del scale
    raised = int(110 * level)
    table = [min(255, value + raised) if value < 128 else value for value in range(256)]
    return image.point(table * len(image.getbands()))


def color(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Moves away from grey, or towards it at levels below a half; so do the next three."""
    del scale
    return ImageEnhance.Color(image).enhance(_factor(level))


def contrast(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Moves away from the mean grey."""
    del scale
    return ImageEnhance.Contrast(image).enhance(_factor(level))


def brightness(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Moves away from black."""
    del scale
    return ImageEnhance.Brightness(image).enhance(_factor(level))


def sharpness(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Moves away from a blurred picture."""
    del scale
    return ImageEnhance.Sharpness(image).enhance(_factor(level))


def shear_x(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Slants by 0.3 times level, to either side; the upper left corner stays."""
    del scale
    return _affine(image, 1, _either_sign(0.3 * level), 0, 0, 1, 0)


def shear_y(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Slants by 0.3 times level, up or down; the upper left corner stays."""
    del scale
    return _affine(image, 1, 0, 0, _either_sign(0.3 * level), 1, 0)


def translate_x(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Moves by 100 pixels times level and scale, to either side."""
    return _affine(image, 1, 0, round(_either_sign(100 * level * scale)), 0, 1, 0)


def translate_y(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Moves by 100 pixels times level and scale, up or down."""
    return _affine(image, 1, 0, 0, 0, 1, round(_either_sign(100 * level * scale)))


def cutout(image: Image.Image, level: float, scale: float) -> Image.Image:
    """Covers a square of side 80 pixels times level and scale, its centre anywhere."""
    half = int(40 * level * scale)
    x, y = (int(torch.randint(side, ()).item()) for side in image.size)
    image = image.copy()
    image.paste(_grey(image), (x - half, y - half, x + half, y + half))
    return image


OPERATIONS: Mapping[str, Operation] = {
    "AutoContrast": auto_contrast,
    "Equalize": equalize,
    "Invert": invert,
    "Rotate": rotate,
    "Posterize": posterize,
    "Solarize": solarize,
    "SolarizeAdd": solarize_add,
    "Color": color,
    "Contrast": contrast,
    "Brightness": brightness,
    "Sharpness": sharpness,
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
    "Cutout": cutout,
}


def _either_sign(amount: float) -> float:
    return -amount if torch.rand(()).item() < 0.5 else amount


def _factor(level: float) -> float:
    return 0.1 + 1.8 * level


def _affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=_grey(image))


def _grey(image: Image.Image) -> int | tuple[int, ...]:
    bands = len(image.getbands())
    return _GREY if bands == 1 else (_GREY,) * bands
