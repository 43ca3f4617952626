"""Convolutions by the faster of torch's ways where a CPU trains; results round otherwise.

one position a kernel that has but one on the map, as a matrix product: forward and backward 1.1
             to 9.8 times as fast on two cores, the more so the more channels there are.
small maps   of many channels: oneDNN spends its time there on the order of the weights and of their
             gradient. Two cores took 1.5 to 3.5 times as long for 512 channels at 4 px and below in
             fp32, and up to 8 times in bf16, as matrix products of patches do. In bf16, on maps of
             up to 8 px, only the gradient of the weights is one.
wide 3x3     in fp32 with stride 1: by a quarter of the products (`winograd_training.py`). On two
             cores that takes 0.5 to 0.95 times as long, the less the larger batch and map are.
1x1          as linear maps over channels: in fp32 where there are few rows, in bf16 always.
depthwise    the gradient of large kernels' weights is made of matrix products where maps are small
             or narrow (`depthwise.py`): 1.3 to 4 times as fast. Else, where torch 2.15 has no fast
             kernel backward in bf16, that pass is in fp32: the gradient of 5x5 weights takes four
             to six times as long in bf16, that of images 13 times and more where the convolution
             strides.

Some strided 1x1 convolutions go as linear maps for another reason, see `overwrites_memory`.

Both passes have to be made within it: what is computed again in the backward pass must go the same
way.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor, nn

from vertebra.layers import depthwise, patches, winograd_training
from vertebra.layers.convolve_as_usual import GradientOfWeights, convolve_as_usual
from vertebra.layers.instead import instead
from vertebra.layers.patches import Window, convolve
from vertebra.layers.sparse import is_fast
from vertebra.layers.tiling import Tiling
from vertebra.layers.winograd_training import Transforms

_MANY_CHANNELS = 256
_SMALL = {torch.float32: 4 * 4, torch.bfloat16: 5 * 5}
"""Positions at most of a map on which a convolution of many channels is a product of patches."""

_SEVERAL_CHANNELS = 128
_SMALL_FOR_WEIGHTS = {torch.float32: 0, torch.bfloat16: 8 * 8}
"""And of one on which the gradient of the weights is, of several channels."""

_FEW_ROWS = 4096
"""Of a product in fp32, one for each position of each image: oneDNN takes as long for more."""

_FAST_DEPTHWISE = {torch.float32: 5, torch.bfloat16: 3}
"""Sides at most of a depthwise kernel the gradient of whose weights is fast enough."""

_NARROW = 16
"""Columns at most of a map whose rows are multiplied for the gradient of depthwise weights."""

_MANY_TILES, _MANY_NUMBERS, _FEW_PRODUCTS = 32, 12_288, 0.4
"""Tiles at least of a product at one point, numbers in them, and products at most in those of the
usual way, from which a convolution by tiles takes less time."""

_UNSAFE_CHANNELS = 16

_Way = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""From images, weight and bias to what the convolution makes of them."""

_Known = dict[tuple[Tiling, int, int], Transforms]
"""Of so many images in so many groups, which convolutions share."""


class ConvolutionsOnCpu:
    """The convolutions of a network that a CPU may compute faster in another way.

    network: may be called, trained and copied as ever; nothing of this stays in it.
    dtype:   in which it computes: fp32, or bf16 by autocast.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        found = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
        known: _Known = {}
        ways = [(each, _faster(each, dtype, known)) for each in found]
        self._ways = [(conv, way) for conv, way in ways if way is not None]

    def taken(self) -> AbstractContextManager[None]:
        """Has them go the faster way within."""
        return instead("_conv_forward", self._ways)


def overwrites_memory(conv: nn.Conv2d) -> bool:
    """Says whether torch 2.15 writes past the end of memory in its fp32 gradient on a CPU, where
    channels of images or weights lie last: it strides, reads one pixel, and has fewer than 16
    channels."""
    is_pointwise = conv.kernel_size == (1, 1) and conv.groups == 1
    return is_pointwise and conv.stride != (1, 1) and conv.in_channels < _UNSAFE_CHANNELS


def _faster(conv: nn.Conv2d, dtype: torch.dtype, known: _Known) -> _Way | None:
    """Returns another way to compute it, if there is one."""
    usual: _Way = conv._conv_forward  # pyright: ignore[reportPrivateUsage]
    if conv.padding_mode != "zeros":
        return None
    window = _window(conv)
    if 1 < conv.groups == conv.in_channels:
        return _depthwise(usual, window, conv, dtype)
    if window is None:
        return None
    if overwrites_memory(conv):
        return partial(_product, window=window)
    way = _as_product(usual, window, conv.in_channels, dtype) if conv.groups == 1 else None
    by_tiles = window.size == (3, 3) and window.stride == (1, 1) and dtype == torch.float32
    is_wide = min(conv.in_channels, conv.out_channels) >= _SEVERAL_CHANNELS * conv.groups
    if by_tiles and is_wide and is_fast():
        return _by_tiles(way or usual, window, conv.groups, known)
    return way


def _window(conv: nn.Conv2d) -> Window | None:
    """Returns what its kernel reads, if it is without holes and its border in numbers."""
    if isinstance(conv.padding, str) or {*conv.dilation} != {1}:
        return None
    (h, w), (down, across), (top, left) = conv.kernel_size, conv.stride, conv.padding
    return Window((h, w), (down, across), (top, left))


def _depthwise(
    usual: _Way, window: Window | None, conv: nn.Conv2d, dtype: torch.dtype
) -> _Way | None:
    is_half, strides = dtype == torch.bfloat16, conv.stride != (1, 1)
    is_large = max(conv.kernel_size) > _FAST_DEPTHWISE[dtype]
    if not (is_large or (strides and is_half)):
        return None
    rest = usual
    if is_half:
        rest = _in_fp32(usual) if window is None else _as_usual(window, dtype)
    if window is None or not is_large or conv.out_channels != conv.in_channels:
        return rest
    by_products = _as_usual(window, dtype, depthwise.gradient_of_weights)

    def forward(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        height, width = images.shape[2:]
        is_small = is_half and height * width <= depthwise.SMALL_MAP
        is_narrow = not strides and width <= _NARROW
        if is_small or is_narrow:
            return by_products(images, weight, bias)
        return rest(images, weight, bias)

    return forward


def _in_fp32(usual: _Way) -> _Way:
    def forward(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return usual(images.float(), weight, bias).to(torch.bfloat16)

    return forward


def _as_usual(
    window: Window, dtype: torch.dtype, of_weights: GradientOfWeights | None = None
) -> _Way:
    def forward(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve_as_usual(images.to(dtype), weight, bias, window, of_weights)

    return forward


def _product(images: Tensor, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    return convolve(images.permute(0, 2, 3, 1), weight, bias, window).permute(0, 3, 1, 2)


def _by_tiles(other: _Way, window: Window, groups: int, known: _Known) -> _Way:
    def forward(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        count, _, height, width = images.shape
        # tiles of 5x5 make the gradient of images round eight times as much
        tiling = Tiling(4, (height, width), window.padding)
        tiles = count * tiling.in_all
        are_many = tiles >= _MANY_TILES and tiles * weight.shape[1] >= _MANY_NUMBERS
        is_by_pixel = images.is_contiguous(memory_format=torch.channels_last)
        if not are_many or not is_by_pixel or tiling.share > _FEW_PRODUCTS:
            return other(images, weight, bias)
        key = tiling, count, groups
        if key not in known:
            known[key] = Transforms.of(tiling, images=count, groups=groups, like=weight)
        return winograd_training.convolve(images, weight, bias, known[key])

    return forward


def _as_product(usual: _Way, window: Window, channels: int, dtype: torch.dtype) -> _Way:
    is_pointwise = window.size == (1, 1) and window.padding == (0, 0)
    by_products = _as_usual(window, dtype, patches.gradient_of_weights)

    def forward(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        count, _, height, width = images.shape
        rows, columns = window.positions(height, width)
        positions = rows * columns
        if not images.is_contiguous(memory_format=torch.channels_last):
            return usual(images, weight, bias)
        if is_pointwise:
            pays = dtype == torch.bfloat16 or count * positions <= _FEW_ROWS
        else:
            is_small = channels >= _MANY_CHANNELS and positions <= _SMALL[dtype]
            pays = is_small or positions == 1
        if pays:
            return _product(images, weight, bias, window)
        if channels >= _SEVERAL_CHANNELS and positions <= _SMALL_FOR_WEIGHTS[dtype]:
            return by_products(images, weight, bias)
        return usual(images, weight, bias)

    return forward
