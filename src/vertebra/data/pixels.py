"""A picture as an array: uint8 [H, W, C] with 1, 3 or 4 channels, see `MODES`."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def pixels_of(picture: Image.Image) -> Pixels:
    """Returns the pixels of a picture of mode "L", "RGB" or "RGBA"; they cannot be written to."""
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def picture_of(pixels: Pixels) -> Image.Image:
    """Returns the picture of these pixels, in mode "L", "RGB" or "RGBA"."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
