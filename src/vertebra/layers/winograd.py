"""Convolutions of 3x3 by a quarter of the products: Winograd's F(4x4, 3x3), in plain operators.

Source: Fast Algorithms for Convolutional Neural Networks (2015), section 4.
Differs: the points of evaluation are 0, 1, -1, 1/2, -2 and infinity, which halve its rounding.

A tile of 6x6 pixels gives 4x4 positions. Tile and kernel are transformed, 36 numbers each; their
products, summed over channels, are 36 products of matrices; what comes out is transformed back.
Every transform is one product too, with the Kronecker square of a small matrix.

Answers lie about 4e-6 of the largest from the exact ones; those of the usual way about 1e-6.
"""

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.polynomial import polynomial
from numpy.typing import NDArray
from torch import Tensor

_POINTS = np.array([0, 1, -1, 0.5, -2])
"""Where polynomials are evaluated, besides infinity; more of them for larger tiles round more."""

_STEP = 4
"""Positions that a tile gives in a row; it reads two pixels more."""

Kernels: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Transformed kernels [groups, 36, C / groups, K / groups], and what transforms the pixels of a
tile [36, 36] and the products [16, 36]."""


def tiles_of(height: int, width: int) -> int:
    """Returns how many tiles give the answers on a map of this size."""
    return -(-height // _STEP) * -(-width // _STEP)


def transform(weight: Tensor, *, groups: int = 1) -> Kernels:
    """weight: [K, C / groups, 3, 3] -> what `convolve` takes."""
    parts = weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 2, 1)
    taps = parts.flatten(1, 2).flatten(2)
    kernels = (_square(_KERNEL, weight) @ taps).unflatten(2, parts.shape[3:])
    return kernels, _square(_PIXELS, weight), _square(_PRODUCTS, weight)


# From here to `lay_out` the code is TorchScript too, which recorded networks run: of this file it
# names nothing but functions.


def convolve(
    images: Tensor,
    weights: tuple[Tensor, Tensor, Tensor],
    bias: Tensor,
    padding: tuple[int, int] = (1, 1),
    shortcut: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Returns the convolution with stride 1, [+ shortcut] [+ ReLU]; without gradients.

    images: [N, C, H, W], weights: of `transform`, bias: [K], padding: rows and columns, shortcut:
    as the answers -> [N, K, H', W'], channels last.
    """
    kernels, of_pixels, of_products = weights
    groups, _, given, made = kernels.shape
    step = int(len(of_products) ** 0.5)
    top, left = padding
    count, _, height, width = images.shape
    rows, columns = height + 2 * top - 2, width + 2 * left - 2
    down, across = -(-rows // step), -(-columns // step)
    border = [0, 0, left, across * step + 2 - width - left, top, down * step + 2 - height - top]
    answers = images.new_empty([count, rows, columns, groups * made])
    some = images_at_once(count, down * across)
    for first in range(0, count, some):
        framed = torch.constant_pad_nd(images[first : first + some].permute(0, 2, 3, 1), border)
        framed = framed.contiguous()  # without a border it may lie otherwise
        told = answers[first : first + some]
        for at in range(groups):
            pixels = tiles(framed.narrow(3, at * given, given), step)
            transformed = of_pixels @ pixels.flatten(1)
            products = torch.bmm(transformed.view(len(pixels), -1, given), kernels[at])
            found = of_products @ products.flatten(1)
            places = found.view(step, step, -1, down, across, made).permute(2, 3, 0, 4, 1, 5)
            lay_out(told.narrow(3, at * made, made), places, bias.narrow(0, at * made, made))
        if shortcut is not None:
            told += shortcut[first : first + some].permute(0, 2, 3, 1)
        if relu:
            told.relu_()
    return answers.permute(0, 3, 1, 2)


def images_at_once(count: int, tiles: int) -> int:
    """Returns how many images, of so many tiles each, are transformed before they are multiplied:
    about as many each time, of about 256 tiles, which stay in the cache."""
    portions = max(1, min(count, count * tiles // 256))
    return -(-count // portions)


def tiles(pixels: Tensor, step: int) -> Tensor:
    """pixels: [n, H, W, C] -> [6 * 6, n, down, across, C], what each tile reads."""
    image, row, column, _ = pixels.stride()
    count, height, width, channels = pixels.shape
    side, down, across = step + 2, height // step, width // step
    read = pixels.as_strided(
        [side, side, count, down, across, channels],
        [row, column, image, step * row, step * column, 1],
    )
    return read.flatten(0, 1)


def lay_out(answers: Tensor, places: Tensor, bias: Tensor) -> None:
    """Lays [n, down, 4, across, 4, K] out as [n, rows, columns, K], and adds the bias.

    The last tiles may stand out.
    """
    _, rows, columns, _ = answers.shape
    _, down, step, across, _, _ = places.shape
    if down * step == rows and across * step == columns:
        by_tile = answers.unflatten(2, [-1, step]).unflatten(1, [-1, step])
        torch.add(places, bias, out=by_tile)
    else:
        within = places.flatten(3, 4).flatten(1, 2)[:, :rows, :columns]
        torch.add(within, bias, out=answers)


def _matrices() -> tuple[NDArray[np.floating[Any]], ...]:
    """Returns what transforms products [4, 6], kernels [6, 3] and pixels [6, 6] of one row.

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


_PRODUCTS, _KERNEL, _PIXELS = _matrices()
