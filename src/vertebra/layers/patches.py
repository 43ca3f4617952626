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


def convolve_as_usual(
    images: Tensor, weight: Tensor, bias: Tensor | None, window: Window
) -> Tensor:
    """images: [N, C, H, W], weight: [K, C, h, w], bias: [K] -> [N, K, H', W'].

    Torch's own convolution and gradient of the images; that of the weights is a product of patches.
    """
    return _Convolve.apply(images, weight, bias, window)  # pyright: ignore[reportReturnType]


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


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, window: Window
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.window = window
        return F.conv2d(images, weight, bias, window.stride, window.padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        (gradient,), window = gradients, ctx.window
        of_images = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_images, _, _ = torch.ops.aten.convolution_backward(
                *(gradient, images, weight, None, window.stride, window.padding),
                *((1, 1), False, (0, 0), 1, (True, False, False)),
            )
        if ctx.needs_input_grad[1]:
            kernels, channels, height, width = weight.shape
            read = patches(images.permute(0, 2, 3, 1), window).flatten(0, 2)
            taps = gradient.permute(0, 2, 3, 1).reshape(-1, kernels).t() @ read
            of_weight = taps.view(kernels, height, width, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_images, of_weight, of_bias, None
