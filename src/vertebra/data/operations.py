"""Operations on pictures of mode "L" or "RGB", which random augmentation draws from.

Their pixels are those of Pillow's `ImageOps` and `ImageEnhance` to the bit. Whatever is written out
here takes less time so: numpy works on whole rows of bytes, where Pillow counts in Python or
filters in floats.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.pixels import Pixels, picture_of, pixels_of

Fill = int | tuple[int, ...]
"""The colour of what is left bare, as Pillow takes it; 0 is black in both modes."""

_VALUES = np.arange(256)


def auto_contrast(image: Image.Image) -> Image.Image:
    """Stretches each channel to [0, 255]; one of a single value stays."""
    low, high = _extremes(pixels_of(image))
    scale = 255 / np.maximum(high - low, 1)
    stretched = (_VALUES * scale + -low * scale).clip(0, 255)  # float64, cut off below the point
    return _mapped(image, np.where(high > low, stretched, _VALUES))


def equalize(image: Image.Image) -> Image.Image:
    """Makes each channel's histogram flat; one of few pixels, beside the brightest, stays."""
    counts = np.array(image.histogram()).reshape(-1, 256)  # [C, 256]
    below = counts.cumsum(1) - counts
    brightest = 255 - (counts[:, ::-1] > 0).argmax(1)
    step = below[np.arange(len(counts)), brightest, None] // 255  # [C, 1]
    flat = (below + step // 2) // np.maximum(step, 1)
    return _mapped(image, np.where(step > 0, flat.clip(0, 255), _VALUES))


def invert(image: Image.Image) -> Image.Image:
    """Makes a negative."""
    return picture_of(~pixels_of(image))


def posterize(image: Image.Image, bits: int) -> Image.Image:
    """Keeps the highest bits, 0 to 8, of each value."""
    return picture_of(pixels_of(image) & np.uint8(256 - 2 ** (8 - bits)))


def solarize(image: Image.Image, threshold: float) -> Image.Image:
    """Inverts values from the threshold on."""
    pixels = pixels_of(image)
    return picture_of(pixels ^ (pixels >= math.ceil(threshold)) * np.uint8(255))


def raise_dark(image: Image.Image, amount: int) -> Image.Image:
    """Adds an amount of 0 or more to values below 128; what exceeds 255 is cut off."""
    amount = min(amount, 255)
    table = np.where(_VALUES < 128, np.minimum(_VALUES + amount, 255), _VALUES)
    return _mapped(image, np.tile(table, (len(image.getbands()), 1)))


def brightness(image: Image.Image, factor: float) -> Image.Image:
    """Moves away from black, or towards it by a factor below 1; so do the next three."""
    return Image.blend(Image.new(image.mode, image.size), image, factor)


def contrast(image: Image.Image, factor: float) -> Image.Image:
    """Moves away from the mean of the grey picture."""
    grey = np.asarray(image.convert("L"))
    # by columns first, as short numbers are summed faster; the sums are exact
    mean = int(int(grey.sum(0, dtype=np.uint32).sum()) / grey.size + 0.5)
    even = Image.new(image.mode, image.size, (mean,) * len(image.getbands()))
    return Image.blend(even, image, factor)


def color(image: Image.Image, factor: float) -> Image.Image:
    """Moves away from the grey picture."""
    if image.mode == "L":
        return image
    return Image.blend(Image.merge("RGB", [image.convert("L")] * 3), image, factor)


def sharpness(image: Image.Image, factor: float) -> Image.Image:
    """Moves away from a smooth picture."""
    return Image.blend(picture_of(_smoothed(pixels_of(image))), image, factor)


def rotate(image: Image.Image, degrees: float, fill: Fill) -> Image.Image:
    """Turns around the centre, counter-clockwise."""
    return image.rotate(degrees, fillcolor=fill)


def shear(image: Image.Image, across: float, down: float, fill: Fill) -> Image.Image:
    """Takes pixel (x, y) from (x + across * y, y + down * x)."""
    matrix = (1, across, 0, down, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=fill)


def translate(image: Image.Image, right: int, down: int, fill: Fill) -> Image.Image:
    """Moves by whole pixels."""
    moved = Image.new(image.mode, image.size, fill)
    moved.paste(image, (right, down))
    return moved


def _mapped(image: Image.Image, tables: NDArray[np.generic]) -> Image.Image:
    """Returns the picture with each value looked up in its channel's table; tables: [C, 256]."""
    return image.point(tables.astype(np.uint8).ravel().tolist())


def _extremes(pixels: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """pixels: [H, W, C] -> each channel's least and greatest value, [C, 1]."""
    rows = pixels.reshape(len(pixels), -1)  # [H, W * C]: long rows are compared fast
    each = (rows.min(0), rows.max(0))
    low, high = (row.reshape(-1, pixels.shape[2]).T.astype(np.float64) for row in each)  # [C, W]
    return low.min(1, keepdims=True), high.max(1, keepdims=True)


def _smoothed(pixels: Pixels) -> Pixels:
    """pixels: [H, W, C] -> means of squares of nine, the middle counted five times; same shape.

    The border stays. Means are rounded; no number of thirteenths lies half way.
    """
    height, _, step = pixels.shape
    values = pixels.reshape(height, -1).astype(np.uint16)  # [H, W * C]: neighbours are C apart
    columns = values[:-2] + values[1:-1]
    columns += values[2:]
    sums = columns[:, : -2 * step] + columns[:, step:-step]
    sums += columns[:, 2 * step :]
    sums += values[1:-1, step:-step] << 2
    sums += 13 // 2
    sums //= 13  # rounded
    smooth = pixels.copy()
    smooth.reshape(height, -1)[1:-1, step:-step] = sums
    return smooth
