"""Torch's convolution with another gradient of its weights."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.layers.patches import Window

GradientOfWeights: TypeAlias = Callable[[Tensor, Tensor, Window], Tensor]
"""From images [N, C, H, W] and gradients [N, K, H', W'] of the answers to those of the weights."""


def convolve_as_usual(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    window: Window,
    gradient_of_weights: GradientOfWeights,
) -> Tensor:
    """images: [N, C, H, W], weight: [K, C / groups, h, w], bias: [K] -> [N, K, H', W'].

    Answers and the gradient of the images are torch's.
    """
    return _Convolve.apply(images, weight, bias, window, gradient_of_weights)  # pyright: ignore[reportReturnType]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        window: Window,
        gradient_of_weights: GradientOfWeights,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.window, ctx.gradient_of_weights = window, gradient_of_weights
        groups = images.shape[1] // weight.shape[1]
        return F.conv2d(images, weight, bias, window.stride, window.padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        (gradient,) = gradients
        of_images = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_images = _gradient_of_images(images, weight, gradient, ctx.window)
        if ctx.needs_input_grad[1]:
            of_weight = ctx.gradient_of_weights(images, gradient, ctx.window)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_images, of_weight, of_bias, None, None


def _gradient_of_images(images: Tensor, weight: Tensor, gradient: Tensor, window: Window) -> Tensor:
    groups = images.shape[1] // weight.shape[1]
    # torch 2.15 has no fast kernel for groups in bf16 where the convolution strides
    is_slow = groups > 1 and window.stride != (1, 1)
    dtype = torch.float32 if is_slow else images.dtype
    found, _, _ = torch.ops.aten.convolution_backward(
        *(gradient.to(dtype), images.to(dtype), weight.to(dtype), None),
        *(window.stride, window.padding, (1, 1), False, (0, 0), groups),
        (True, False, False),
    )
    return found.to(images.dtype)
