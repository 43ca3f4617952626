"""A convolution as a matrix product: each position's patch of the image is a row.

It copies what the kernel reads, as often as it reads it, so it pays where maps are small.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Window(NamedTuple):
    """What a kernel reads: rows and columns of its size, of a step, and of zeros at each border."""

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """Returns how many rows and columns of positions it has on a map."""
        down, across = (
            (side + 2 * border - size) // step + 1
            for side, size, step, border in zip(
                (height, width), self.size, self.stride, self.padding, strict=True
            )
        )
        return down, across


def convolve(pixels: Tensor, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    """pixels: [N, H, W, C], weight: [K, C, h, w], bias: [K] -> [N, H', W', K]."""
    if window.size == (1, 1) and window.padding == (0, 0):
        down, across = window.stride
        read = pixels if window.stride == (1, 1) else pixels[:, ::down, ::across]
    else:
        read = patches(pixels, window)
    return F.linear(read, weight.permute(0, 2, 3, 1).flatten(1), bias)


def patches(pixels: Tensor, window: Window) -> Tensor:
    """pixels: [N, H, W, C] -> [N, H', W', h * w * C], what the kernel reads at each position."""
    return _Patches.apply(pixels, window)  # pyright: ignore[reportReturnType]


class _Patches(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: Tensor, window: Window) -> Tensor:
        ctx.shape, ctx.window = pixels.shape, window
        (h, w), (down, across), (top, left) = window
        framed = F.pad(pixels, (0, 0, left, left, top, top)).contiguous()
        count, height, width, channels = framed.shape
        rows, columns = window.positions(*pixels.shape[1:3])
        row, image = width * channels, height * width * channels
        read = framed.as_strided(
            (count, rows, columns, h, w * channels),
            (image, down * row, across * channels, row, 1),
        )
        return read.reshape(count, rows, columns, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Adds to each pixel what all patches that hold it bring; summed in fp32."""
        (h, w), (down, across), (top, left) = ctx.window
        (gradient,) = gradients
        count, height, width, channels = ctx.shape
        _, rows, columns, _ = gradient.shape
        parts = gradient.reshape(count, rows, columns, h, w, channels)
        framed = (count, height + 2 * top, width + 2 * left, channels)
        total = gradient.new_zeros(framed, dtype=torch.promote_types(gradient.dtype, torch.float32))
        for y in range(h):
            for x in range(w):
                read = total[:, y : y + down * rows : down, x : x + across * columns : across]
                read += parts[:, :, :, y, x]
        own = total[:, top : top + height, left : left + width]
        return own.to(gradient.dtype).contiguous(), None
