"""A convolution as a matrix product: each position's patch of the image is a row.

It copies what the kernel reads, as often as it reads it, so it pays where maps are small. Where the
kernel has one position, the map itself is the row: nothing is copied, and weights that would only
meet the border's zeros are left out.
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

    def within(self, height: int, width: int) -> "Part":
        """Returns what its first position reads of a map."""
        lines = zip(self.size, self.padding, (height, width), strict=True)
        down, across = (_overlap(size, border, side) for size, border, side in lines)
        return Part((down[0], across[0]), (down[1], across[1]))


class Part(NamedTuple):
    """Rows and columns of a kernel that lie on a map, and those of the map that they lie on."""

    kernel: tuple[slice, slice]
    pixels: tuple[slice, slice]


def _overlap(size: int, border: int, side: int) -> tuple[slice, slice]:
    first, last = max(0, border), min(size, border + side)
    return slice(first, last), slice(first - border, last - border)


def convolve(pixels: Tensor, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    """pixels: [N, H, W, C], weight: [K, C, h, w], bias: [K] -> [N, H', W', K]."""
    height, width = pixels.shape[1:3]
    rows, columns = window.positions(height, width)
    if window.size == (1, 1) and window.padding == (0, 0):
        down, across = window.stride
        read = pixels if window.stride == (1, 1) else pixels[:, ::down, ::across]
        matrix = _by_pixel(weight)
    elif (rows, columns) == (1, 1):
        part = window.within(height, width)
        read, matrix = pixels[:, *part.pixels], _taps(weight, part)
    else:
        read, matrix = patches(pixels, window), _by_pixel(weight)
    # two axes: with more and no gradients, torch copies the matrix for each image
    product = F.linear(read.reshape(-1, matrix.shape[1]), matrix, bias)
    return product.view(len(pixels), rows, columns, -1)


def gradient_of_weights(images: Tensor, gradient: Tensor, window: Window) -> Tensor:
    """images: [N, C, H, W], gradient: [N, K, H', W'], of the answers -> [K, C, h, w]."""
    kernels, channels = gradient.shape[1], images.shape[1]
    read = patches(images.permute(0, 2, 3, 1), window).flatten(0, 2)
    taps = gradient.permute(0, 2, 3, 1).reshape(-1, kernels).t() @ read
    return taps.view(kernels, *window.size, channels).permute(0, 3, 1, 2)


def _by_pixel(weight: Tensor) -> Tensor:
    """weight: [K, C, h, w] -> [K, h * w * C]."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _taps(weight: Tensor, part: Part) -> Tensor:
    """weight: [K, C, h, w] -> [K, h' * w' * C], those in the part."""
    is_whole = weight[:, :, *part.kernel].shape == weight.shape
    taps = _by_pixel(weight) if is_whole else _Taps.apply(weight, part)
    return taps  # pyright: ignore[reportReturnType]


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


class _Taps(torch.autograd.Function):
    """A slice whose gradient lies as the weights do: the optimizer need not order it anew."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, part: Part) -> Tensor:
        ctx.shape, ctx.part = weight.shape, part
        return _by_pixel(weight[:, :, *part.kernel])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        kernels, channels, height, width = ctx.shape
        rows, columns = ctx.part.kernel
        total = gradient.new_zeros(kernels, height, width, channels)
        taps = total[:, rows, columns]
        taps.copy_(gradient.view_as(taps))
        return total.permute(0, 3, 1, 2), None
