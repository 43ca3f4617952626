"""Winograd's convolution of 3x3 with its gradients, by a quarter of the products each.

Source: Fast Algorithms for Convolutional Neural Networks (2015), section 4.
Differs: gradients go through the transposes of the forward pass' steps, rather than through
convolutions of their own.

    V = pixels at points, U = the kernel at points:   M = V U,   answers = M transformed back
    dM = dAnswers by the transpose:   dV = dM U^T,   dU = V^T dM,   and both by transposes

Nothing is kept between the passes but images and weight; V and U are made again.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vertebra.layers import winograd
from vertebra.layers.sparse import multiply_twice
from vertebra.layers.tiling import Pair, Tiling, of_kernel


class Transforms(NamedTuple):
    """What transforms maps of one size, so many images at once, and takes gradients back."""

    tiling: Tiling
    groups: int
    at_once: int
    from_pixels: Pair
    to_answers: Pair
    from_answers: Pair
    to_pixels: Pair

    @classmethod
    def of(cls, tiling: Tiling, *, images: int, groups: int, like: Tensor) -> "Transforms":
        """images: how many a call is to have; others may come too. like: of their type."""
        at_once = winograd.images_at_once(images, tiling.in_all)
        return cls(
            tiling,
            groups,
            at_once,
            tiling.from_pixels(at_once, like),
            tiling.to_answers(at_once, groups, like),
            tiling.from_answers(at_once, like),
            tiling.to_pixels(at_once, groups, like),
        )

    def to_points(self, pair: Pair, maps: Tensor) -> Tensor:
        """maps: [n, H, W, C] -> [points * groups, n * tiles, C / groups]."""
        count, height, _, channels = maps.shape
        lines = maps.reshape(count * height, -1)
        numbers = multiply_twice(*pair, lines, channels, (count, self.at_once))
        batch = self.tiling.side**2 * self.groups
        return numbers.view(count * self.tiling.in_all, batch, -1).transpose(0, 1)

    def pixels_for(self, products: Tensor, kernels: Tensor) -> Tensor:
        """products: [points * groups, n * tiles, K / groups], of gradients -> [n * H * W * groups,
        C / groups]."""
        batch, tiles, _ = products.shape
        count = tiles // self.tiling.in_all
        of_read = products.new_empty(batch, self.at_once * self.tiling.in_all, kernels.shape[2])
        torch.bmm(products, kernels, out=of_read[:, :tiles])
        rows = of_read.flatten(0, 1)
        return multiply_twice(*self.to_pixels, rows, kernels.shape[2], (count, self.at_once))


def convolve(images: Tensor, weight: Tensor, bias: Tensor | None, transforms: Transforms) -> Tensor:
    """images: [N, C, H, W], weight: [K, C / groups, 3, 3], bias: [K] -> [N, K, H', W'], channels
    last."""
    return _Convolve.apply(images, weight, bias, transforms)  # pyright: ignore[reportReturnType]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, transforms: Transforms
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.transforms = transforms
        tiling, _, at_once, from_pixels, to_answers, *_ = transforms
        kernels = _kernels(weight, transforms).transpose(1, 2)
        shape = (at_once, tiling.in_all, *tiling.answers)
        return winograd.convolve(images, (kernels, from_pixels, to_answers, shape), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (images, weight), (gradient,) = ctx.saved_tensors, gradients
        of_images_too, of_weight_too, of_bias_too, _ = ctx.needs_input_grad
        transforms: Transforms = ctx.transforms
        kernels = _kernels(weight, transforms)
        of_pixels: list[Tensor] = []
        of_kernels: Tensor | None = None
        batches = (_by_pixel(each).split(transforms.at_once) for each in (images, gradient))
        for pixels, places in zip(*batches, strict=True):
            products = transforms.to_points(transforms.from_answers, places)
            if of_images_too:
                of_pixels.append(transforms.pixels_for(products, kernels).view_as(pixels))
            if of_weight_too:
                read = transforms.to_points(transforms.from_pixels, pixels)
                of_kernels = _add_product(of_kernels, products.transpose(1, 2), read)
        return (
            _joined(of_pixels).permute(0, 3, 1, 2) if of_pixels else None,
            None if of_kernels is None else _weight(of_kernels, transforms),
            gradient.sum((0, 2, 3)) if of_bias_too else None,
            None,
        )


def _kernels(weight: Tensor, transforms: Transforms) -> Tensor:
    """weight: [K, C / groups, 3, 3] -> [points * groups, K / groups, C / groups].

    In this order as weights lie channels last while they are trained.
    """
    taps = weight.permute(3, 2, 0, 1)  # across, then down
    batch = transforms.tiling.side**2 * transforms.groups
    return (_square(transforms, weight) @ taps.reshape(9, -1)).view(batch, -1, taps.shape[3])


def _weight(kernels: Tensor, transforms: Transforms) -> Tensor:
    """The transpose of `_kernels`."""
    square = _square(transforms, kernels)
    taps = square.t() @ kernels.view(len(square), -1)
    return taps.view(3, 3, -1, kernels.shape[2]).permute(2, 3, 1, 0)


def _square(transforms: Transforms, like: Tensor) -> Tensor:
    """-> [points, 9]"""
    matrix = of_kernel(transforms.tiling.step)
    return torch.from_numpy(np.kron(matrix, matrix)).to(like)


def _by_pixel(maps: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H, W, C], in this order in memory."""
    return maps.permute(0, 2, 3, 1).contiguous()


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _add_product(so_far: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """Returns the sum with a product of matrices, in the place of what there is so far."""
    return torch.bmm(left, right) if so_far is None else so_far.baddbmm_(left, right)
