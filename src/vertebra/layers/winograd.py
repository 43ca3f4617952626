"""Convolutions of 3x3 by a quarter of the products: Winograd's F(4x4, 3x3), in plain operators.

Source: Fast Algorithms for Convolutional Neural Networks (2015), section 4.
Differs: the points of evaluation are 0, 1, -1, 1/2, -2 and infinity, which halve its rounding.

A tile of 6x6 pixels gives 4x4 positions. Tile and kernel are transformed, 36 numbers each; their
products, summed over channels, are 36 products of matrices; what comes out is transformed back.
Every transform is one product too, with the Kronecker square of a small matrix.

Answers lie about 4e-6 of the largest from the exact ones; those of the usual way about 1e-6.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.polynomial import polynomial
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

_POINTS = np.array([0, 1, -1, 0.5, -2])
"""Where polynomials are evaluated, besides infinity; more of them for larger tiles round more."""

_STEP, _TILE = 4, 6
"""Positions that a tile gives, and pixels that it reads, in a row."""

_TILES_AT_ONCE = 256
"""So many, of whole images, are transformed before they are multiplied: they stay in the cache."""


def tiles_of(height: int, width: int) -> int:
    """Returns how many tiles give the answers on a map of this size."""
    return -(-height // _STEP) * -(-width // _STEP)


def transform(weight: Tensor, *, groups: int = 1) -> Tensor:
    """weight: [K, C / groups, 3, 3] -> [groups, 36, C / groups, K / groups], for `convolve`."""
    parts = weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 2, 1)
    taps = parts.flatten(1, 2).flatten(2)
    return (_square(_KERNEL, weight) @ taps).unflatten(2, parts.shape[3:])


def convolve(
    images: Tensor,
    kernels: Tensor,
    bias: Tensor,
    padding: tuple[int, int] = (1, 1),
    shortcut: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Returns the convolution with stride 1, [+ shortcut] [+ ReLU]; without gradients.

    images: [N, C, H, W], kernels: of `transform`, bias: [K], shortcut: as the answers
    -> [N, K, H', W'], channels last.
    """
    (top, left), (count, _, height, width) = padding, images.shape
    rows, columns = height + 2 * top - 2, width + 2 * left - 2
    groups, _, _, channels = kernels.shape
    answers = images.new_empty(count, rows, columns, groups * channels)
    for some in _portions(count, tiles_of(rows, columns)):
        framed, told = _framed(images[some], padding), answers[some]
        for pixels, matrices, added, part in zip(
            *(framed.chunk(groups, 3), kernels, bias.chunk(groups), told.chunk(groups, 3)),
            strict=True,
        ):
            _lay_out(part, _products(_tiles(pixels), matrices), added)
        if shortcut is not None:
            told += shortcut[some].permute(0, 2, 3, 1)
        if relu:
            told.relu_()
    return answers.permute(0, 3, 1, 2)


def _portions(count: int, tiles: int) -> Iterator[slice]:
    """Yields which images go together, of so many tiles each; about as many each time."""
    portions = max(1, min(count, count * tiles // _TILES_AT_ONCE))
    step = -(-count // portions)
    return (slice(first, first + step) for first in range(0, count, step))


def _framed(images: Tensor, padding: tuple[int, int]) -> Tensor:
    """images: [n, C, H, W] -> [n, H', W', C] with zeros around, all that whole tiles read."""
    (top, left), (height, width) = padding, images.shape[2:]
    bottom, right = (
        -(-(side + 2 * border - 2) // _STEP) * _STEP + 2 - side - border
        for side, border in ((height, top), (width, left))
    )
    framed = F.pad(images.permute(0, 2, 3, 1), (0, 0, left, right, top, bottom))
    return framed.contiguous()  # without a border it may lie otherwise


def _tiles(pixels: Tensor) -> Tensor:
    """pixels: [n, H, W, C] -> [6 * 6, n, down, across, C], what each tile reads."""
    image, row, column, _ = pixels.stride()
    count, height, width, channels = pixels.shape
    down, across = height // _STEP, width // _STEP
    read = pixels.as_strided(
        (_TILE, _TILE, count, down, across, channels),
        (row, column, image, _STEP * row, _STEP * column, 1),
        pixels.storage_offset(),
    )
    return read.flatten(0, 1)


def _products(tiles: Tensor, matrices: Tensor) -> Tensor:
    """tiles: [6 * 6, n, down, across, C], matrices: [36, C, K] -> [4, 4, n, down, across, K]."""
    _, *places, channels = tiles.shape
    transformed = _square(_PIXELS, tiles) @ tiles.flatten(1)
    products = torch.bmm(transformed.view(len(tiles), -1, channels), matrices)
    found = _square(_ANSWERS, tiles) @ products.flatten(1)
    return found.view(_STEP, _STEP, *places, matrices.shape[2])


def _lay_out(answers: Tensor, found: Tensor, bias: Tensor) -> None:
    """Lays [4, 4, n, down, across, K] out as [n, rows, columns, K], and adds the bias.

    The last tiles may stand out.
    """
    _, rows, columns, _ = answers.shape
    by_place = found.permute(2, 3, 0, 4, 1, 5)
    if by_place.shape[1] * _STEP == rows and by_place.shape[3] * _STEP == columns:
        places = answers.unflatten(2, (-1, _STEP)).unflatten(1, (-1, _STEP))
        torch.add(by_place, bias, out=places)
    else:
        within = by_place.flatten(3, 4).flatten(1, 2)[:, :rows, :columns]
        torch.add(within, bias, out=answers)


def _matrices() -> tuple[NDArray[np.floating[Any]], ...]:
    """Returns what transforms answers [4, 6], kernels [6, 3] and pixels [6, 6] of one row.

    The answers are a convolution's transpose: kernel and answers are evaluated at the points, of
    infinity the highest coefficient; pixels are interpolated.
    """
    others = [np.delete(_POINTS, place) for place in range(len(_POINTS))]
    scales = [np.prod(point - rest) for point, rest in zip(_POINTS, others, strict=True)]
    kernel = polynomial.polyvander(_POINTS, 2) / np.array(scales)[:, None]
    pixels = [np.append(polynomial.polyfromroots(rest), 0) for rest in others]
    last = np.zeros(_STEP)
    last[-1] = 1
    return (
        np.column_stack([polynomial.polyvander(_POINTS, _STEP - 1).T, last]),
        np.vstack([kernel, [0, 0, 1]]),
        np.vstack([*pixels, polynomial.polyfromroots(_POINTS)]),
    )


def _square(matrix: NDArray[np.floating[Any]], like: Tensor) -> Tensor:
    """Returns what transforms rows and columns at once, of the other tensor's type."""
    return torch.from_numpy(np.kron(matrix, matrix)).to(like)


_ANSWERS, _KERNEL, _PIXELS = _matrices()
