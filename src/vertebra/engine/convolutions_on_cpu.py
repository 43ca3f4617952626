"""Convolutions by the faster of torch's ways where a CPU trains; results round otherwise.

small maps   of many channels, as matrix products: oneDNN spends its time there on the order of the
             weights and of their gradient. Two cores took 1.5 to 3.5 times as long for 512 channels
             at 4 px and below in fp32, and up to 8 times in bf16, where 7 px gain too.
1x1          the same, as linear maps over channels; in bf16 of every map.
depthwise    in bf16, in fp32: they read and write much and compute little, so bf16 gains nothing
             forward, and torch 2.15 has no fast kernel backward. The gradient of 5x5 weights takes
             six times as long as in fp32, and that of images twelve times where the convolution
             strides.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vertebra.engine.patches import Window, convolve

_MANY_CHANNELS = 256
_SMALL = {torch.float32: 4 * 4, torch.bfloat16: 8 * 8}
"""Positions at most of a small map for a kernel that reads several pixels."""

_SMALL_FOR_ONE = 8 * 8
"""And in fp32 for a kernel that reads one: its product copies nothing."""


class _Convolution(NamedTuple):
    """What `conv2d` is given, by its names; input: images [N, C, H, W]."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1

    @property
    def is_depthwise(self) -> bool:
        return 1 < self.groups == self.input.shape[1]

    def by_patches(self, dtype: torch.dtype) -> Window | None:
        """Returns what the kernel reads where a product of patches of this type is faster."""
        is_plain = self.groups == 1 and {*_pair(self.dilation)} == {1}
        if not is_plain or isinstance(self.padding, str) or not self._lies_by_pixel:
            return None
        height, width = self.weight.shape[2:]
        window = Window((height, width), _pair(self.stride), _pair(self.padding))
        rows, columns = window.positions(*self.input.shape[2:])
        most = _SMALL[dtype]
        if window.size == (1, 1) and window.padding == (0, 0):
            if dtype == torch.bfloat16:
                return window
            most = _SMALL_FOR_ONE
        is_small = rows * columns <= most and self.input.shape[1] >= _MANY_CHANNELS
        return window if is_small else None

    @property
    def _lies_by_pixel(self) -> bool:
        return self.input.is_contiguous(memory_format=torch.channels_last)


def _pair(setting: Any) -> tuple[int, int]:
    sides = [setting] if isinstance(setting, int) else [*setting]  # one stands for both
    return sides[0], sides[-1]


def is_wide(network: nn.Module) -> bool:
    """Says whether a network may have small maps of many channels: in fp32 the others are spared
    what it costs to look at every call, a fifteenth of a step of small networks."""
    return any(
        isinstance(each, nn.Conv2d) and each.in_channels >= _MANY_CHANNELS and each.groups == 1
        for each in network.modules()
    )


class ConvolutionsOnCpu(TorchFunctionMode):
    """On a CPU, in fp32 or within autocast to bf16: convolutions go the faster way, all else its
    own."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

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
        if given.is_depthwise and self._dtype == torch.bfloat16:
            with torch.autocast("cpu", enabled=False):
                single = given._replace(input=given.input.float())
                return func(*single).to(torch.bfloat16)
        window = given.by_patches(self._dtype)
        if window is not None:
            pixels = given.input.permute(0, 2, 3, 1)
            return convolve(pixels, given.weight, given.bias, window).permute(0, 3, 1, 2)
        return func(*args, **kwargs)
