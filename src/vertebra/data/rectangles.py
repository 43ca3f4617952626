"""Random rectangles inside a picture, for many pictures at once: what is cropped or erased.

Source: Going Deeper with Convolutions (2014), section 6; Random Erasing Data Augmentation (2017),
algorithm 1; the ten tries are torchvision's.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TRIES = 10

DRAWS = 2 * TRIES + 2
"""Uniform draws that a rectangle takes."""


class Range(NamedTuple):
    """Sides that a rectangle may have along one side of the picture, in pixels."""

    least: int
    most: int


class Rectangles(NamedTuple):
    """N rectangles of whole pixels; `found` says where one of the tries fitted.

    top, left, tall, wide: [N] int64; any values where none was found.
    """

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    tall: NDArray[np.int64]
    wide: NDArray[np.int64]
    found: NDArray[np.bool_]


def rectangles(
    draws: NDArray[np.float64],
    size: tuple[int, int],
    *,
    share: tuple[float, float],
    ratio: tuple[float, float],
    tall: Range,
    wide: Range,
) -> Rectangles:
    """Returns rectangles in pictures of `size`, height and width, from draws [N, `DRAWS`].

    share: of the picture's area, even; ratio: width by height, even in the logarithm. The sides
    are rounded; the first of the tries whose sides are in the ranges is taken.
    """
    height, width = size
    area = height * width * _between(share, draws[:, :TRIES])  # [N, TRIES]
    ratios = np.exp(_between((math.log(ratio[0]), math.log(ratio[1])), draws[:, TRIES:-2]))
    talls, wides = np.rint(np.sqrt(area / ratios)), np.rint(np.sqrt(area * ratios))
    fits = (tall.least <= talls) & (talls <= tall.most)
    fits &= (wide.least <= wides) & (wides <= wide.most)
    first = fits.argmax(1)[:, None]
    high, broad = (np.take_along_axis(each, first, 1)[:, 0] for each in (talls, wides))
    top = np.floor(draws[:, -2] * (height - high + 1))
    left = np.floor(draws[:, -1] * (width - broad + 1))
    sides = (each.astype(np.int64) for each in (top, left, high, broad))
    return Rectangles(*sides, found=np.take_along_axis(fits, first, 1)[:, 0])


def _between(bounds: tuple[float, float], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    return bounds[0] + draws * (bounds[1] - bounds[0])
