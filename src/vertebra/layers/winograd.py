"""Convolutions of 3x3 by a quarter of the products: Winograd's F(4x4, 3x3) and F(5x5, 3x3).

Source: Fast Algorithms for Convolutional Neural Networks (2015), section 4.
Differs: see `tiling.py`.

A tile of 6x6 pixels gives 4x4 positions, one of 7x7 gives 5x5. Tile and kernel are transformed, a
number for each of 36 or 49 points; at each point the products, summed over channels, are a product
of matrices; what comes out is transformed back.

Answers lie about 3e-6 or 7e-6 of the largest from the exact ones; those of the usual way about
1e-6.
"""

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from vertebra.layers.sparse import multiply_twice
from vertebra.layers.tiling import Pair, Tiling, of_kernel

Weights: TypeAlias = tuple[Tensor, Pair, Pair, tuple[int, int, int, int]]
"""Transformed kernels [points * groups, C / groups, K / groups]; what transforms pixels, and what
gives answers; images at once, tiles of each, and rows and columns of its answers."""


def transform(weight: Tensor, tiling: Tiling, *, images: int, groups: int = 1) -> Weights:
    """Returns what `convolve` takes.

    weight: [K, C / groups, 3, 3]; images: how many a call is to have. Others may come too.
    """
    at_once = images_at_once(images, tiling.in_all)
    kernels = _kernels(weight, tiling.step, groups)
    from_pixels = tiling.from_pixels(at_once, weight)
    to_answers = tiling.to_answers(at_once, groups, weight)
    return kernels, from_pixels, to_answers, (at_once, tiling.in_all, *tiling.answers)


def _kernels(weight: Tensor, step: int, groups: int) -> Tensor:
    """weight: [K, C / groups, 3, 3] -> [points * groups, C / groups, K / groups]."""
    matrix = of_kernel(step)
    by_tap = weight.unflatten(0, (groups, -1)).permute(4, 3, 0, 2, 1)  # across, then down
    taps = by_tap.flatten(0, 1)
    square = torch.from_numpy(np.kron(matrix, matrix)).to(weight)
    return (square @ taps.flatten(1)).view(-1, *taps.shape[2:])


def images_at_once(count: int, tiles: int) -> int:
    """Returns how many images, of so many tiles each, are transformed before they are multiplied:
    about as many each time, of about 256 tiles, which stay in the cache."""
    portions = max(1, min(count, count * tiles // 256))
    return -(-count // portions)


# `convolve` and what it calls are TorchScript too, which recorded networks run: they name nothing
# but functions.


def convolve(
    images: Tensor,
    weights: tuple[
        Tensor,
        tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
        tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
        tuple[int, int, int, int],
    ],
    bias: Tensor | None = None,
    shortcut: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Returns the convolution with stride 1, [+ shortcut] [+ ReLU]; without gradients.

    images: [N, C, H, W], weights: of `transform`, bias: [K], shortcut: as the answers
    -> [N, K, H', W'], channels last.
    """
    kernels, (down, across), (back_down, back_across), (at_once, tiles, rows, columns) = weights
    count, channels, height, width = images.shape
    points, given, made = kernels.shape
    groups = channels // given
    first_of_ones = (int((points // groups) ** 0.5) + 1) * groups  # where every answer reads
    pixels = images.permute(0, 2, 3, 1).contiguous()
    answers = images.new_empty([count if count > at_once else 0, rows, columns, groups * made])
    for first in range(0, count, at_once):
        some = min(at_once, count - first)
        share = (some, at_once)
        lines = pixels[first : first + some].view(some * height, width * channels)
        read = multiply_twice(down, across, lines, channels, share)
        by_point = read.view(some * tiles, points, given).transpose(0, 1)
        products = images.new_empty([points, at_once * tiles, made])
        torch.bmm(by_point, kernels, out=products[:, : some * tiles])
        if bias is not None:
            products[first_of_ones : first_of_ones + groups] += bias.view(groups, 1, made)
        found = multiply_twice(back_down, back_across, products.flatten(0, 1), made, share)
        found = found.view(some, rows, columns, groups * made)
        if shortcut is not None:
            found += shortcut[first : first + some].permute(0, 2, 3, 1)
        if some == count:
            return (found.relu_() if relu else found).permute(0, 3, 1, 2)
        told = answers[first : first + some]
        if relu:
            torch.clamp_min(found, 0, out=told)
        else:
            told.copy_(found)
    return answers.permute(0, 3, 1, 2)
