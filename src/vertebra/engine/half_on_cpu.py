"""Convolutions by the faster of torch's ways where a CPU trains in bf16; results round otherwise.

depthwise   in fp32: they read and write much and compute little, so bf16 gains nothing forward, and
            torch 2.15 has no fast kernel backward. The gradient of 5x5 weights takes six times as
            long as in fp32, and that of images twelve times where the convolution strides.
1x1         as linear maps over channels: the same product, whose gradients need no other layout.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class _Convolution(NamedTuple):
    """What `conv2d` is given; images [N, C, H, W]."""

    images: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1

    @property
    def is_depthwise(self) -> bool:
        return 1 < self.groups == self.images.shape[1]

    @property
    def is_linear(self) -> bool:
        """Whether it maps the channels of each pixel by themselves, and they lie together."""
        is_plain = self.groups == 1 and _each(self.stride) <= {1} and _each(self.padding) <= {0}
        by_pixel = self.images.is_contiguous(memory_format=torch.channels_last)
        return is_plain and self.weight.shape[2:] == (1, 1) and by_pixel


def _each(setting: Any) -> set[Any]:
    return set(setting) if isinstance(setting, tuple | list) else {setting}


class HalfOnCpu(TorchFunctionMode):
    """Within autocast to bf16 on a CPU: convolutions go the faster way, all else its own."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not F.conv2d:
            return func(*args, **kwargs)
        given = _Convolution(*args, **kwargs)
        if given.is_depthwise:
            with torch.autocast("cpu", enabled=False):
                single = given._replace(images=given.images.float())
                return func(*single).to(torch.bfloat16)
        if given.is_linear:
            pixels = given.images.permute(0, 2, 3, 1)  # [N, H, W, C]
            return F.linear(pixels, given.weight.flatten(1), given.bias).permute(0, 3, 1, 2)
        return func(*args, **kwargs)
