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
    gradient_of_weights: GradientOfWeights | None = None,
) -> Tensor:
    """images: [N, C, H, W], weight: [K, C / groups, h, w], bias: [K] -> [N, K, H', W'].

    It computes in the images' dtype; weight and bias may be wider. Answers and the gradient of the
    images are torch's. Where no other gradient of the weights is given it is torch's too, and both
    are computed in fp32.
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
        gradient_of_weights: GradientOfWeights | None,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.window, ctx.gradient_of_weights = window, gradient_of_weights
        groups = images.shape[1] // weight.shape[1]
        weight, bias = weight.to(images.dtype), None if bias is None else bias.to(images.dtype)
        return F.conv2d(images, weight, bias, window.stride, window.padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (images, weight), (gradient,) = ctx.saved_tensors, gradients
        of_images_too, of_weight_too, of_bias_too, *_ = ctx.needs_input_grad
        find, window = ctx.gradient_of_weights, ctx.window
        wanted = of_images_too, of_weight_too and find is None
        # torch 2.15 has no fast kernel for groups in bf16 where the convolution strides
        is_slow = images.shape[1] > weight.shape[1] and window.stride != (1, 1)
        dtype = torch.float32 if find is None or is_slow else images.dtype
        given = images.to(dtype), weight.to(dtype), gradient.to(dtype)
        of_images, of_weight = _gradients_of_torch(*given, window, wanted)
        if find is not None and of_weight_too:
            of_weight = find(images, gradient, window)
        of_bias = gradient.sum((0, 2, 3)) if of_bias_too else None
        if of_images is not None:
            of_images = of_images.to(images.dtype)
        return of_images, of_weight, of_bias, None, None


def _gradients_of_torch(
    images: Tensor, weight: Tensor, gradient: Tensor, window: Window, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Returns those of the images and of the weight that are wanted, else None."""
    if not any(wanted):
        return None, None
    of_images, of_weight, _ = torch.ops.aten.convolution_backward(
        *(gradient, images, weight, None),
        *(window.stride, window.padding, (1, 1), False, (0, 0)),
        images.shape[1] // weight.shape[1],
        (*wanted, False),
    )
    return of_images, of_weight
