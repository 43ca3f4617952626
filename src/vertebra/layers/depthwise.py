"""The gradient of depthwise weights, by matrix products.

The gradient of a tap sums, over all places, the pixel that it reads times the gradient there. The
products of all pixels with all places of a row, or of a small map, are a matrix product for each
channel; those of a tap lie on one of its diagonals. That computes more than is needed, yet faster:
oneDNN's kernel for the gradient of 5x5 and 7x7 weights is slow, in bf16 most of all.
"""

import torch
from torch import Tensor

from vertebra.layers.patches import Window

SMALL_MAP = 8 * 8
"""Pixels at most of a map that is multiplied as a whole, in bf16."""


def gradient_of_weights(images: Tensor, gradient: Tensor, window: Window) -> Tensor:
    """images: [N, C, H, W], gradient: [N, C, H', W'], of the answers -> [C, 1, h, w].

    Rows are multiplied in fp32, small maps in bf16 where the images are; the result is of their
    dtype.
    """
    is_small = images[0, 0].numel() <= SMALL_MAP and images.dtype == torch.bfloat16
    taps = _of_maps(images, gradient, window) if is_small else _of_rows(images, gradient, window)
    return taps.view(-1, 1, *window.size).to(images.dtype)


def _of_rows(images: Tensor, gradient: Tensor, window: Window) -> Tensor:
    """-> [C, h, w]"""
    count, channels, height, width = images.shape
    rows, columns = gradient.shape[2:]
    (h, w), (down, across), (top, left) = window
    framed = images.new_zeros(channels, height + 2 * top, count, width, dtype=torch.float32)
    framed[:, top : top + height] = images.permute(1, 2, 0, 3)
    by_column = gradient.permute(1, 3, 2, 0).flatten(2).float()  # [C, W', H' * N]
    products = [
        by_column @ framed[:, y : y + down * rows : down].flatten(1, 2) for y in range(h)
    ]  # each [C, W', W]
    diagonals = _read(w, across, left, columns, width).flatten(0, 1).float()
    return torch.stack(products, 1).flatten(2) @ diagonals


def _of_maps(images: Tensor, gradient: Tensor, window: Window) -> Tensor:
    """-> [C, h * w]"""
    (height, width), (rows, columns) = images.shape[2:], gradient.shape[2:]
    (h, w), (down, across), (top, left) = window
    pixels = images.permute(1, 0, 2, 3).flatten(2)  # [C, N, H * W]
    places = gradient.permute(1, 2, 3, 0).flatten(1, 2)  # [C, H' * W', N]
    vertically = _read(h, down, top, rows, height)[:, None, :, None, :, None]
    horizontally = _read(w, across, left, columns, width)[None, :, None, :, None, :]
    taps = vertically & horizontally
    return (places @ pixels).flatten(1) @ taps.view(-1, h * w).to(images.dtype)


def _read(size: int, step: int, border: int, places: int, side: int) -> Tensor:
    """-> [places, side, size], whether at a place a tap of the kernel reads a pixel of the side."""
    first = torch.arange(places) * step - border
    return torch.arange(side)[:, None] - first[:, None, None] == torch.arange(size)
