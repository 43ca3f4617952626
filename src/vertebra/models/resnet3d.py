"""Residual networks for clips: C2D, Slow, I3D, 3D ResNet and 3D ResNet-RS.

Source: SlowFast Networks for Video Recognition (2019), table 1 (Slow) and its code (C2D, I3D).
Source: Revisiting 3D ResNets for Video Recognition (2021), and the settings released with it.
Differs: an image is a clip of one frame, so that these networks train on images as well; the pool
over time that ends the first stage of C2D and I3D keeps the last frame of an odd number.

network     stem                            stem pool    kernels over time of the four stages
C2D         1x7x7/1,2,2                     1x3x3/1,2,2  1        1        1        1
Slow        1x7x7/1,2,2                     1x3x3/1,2,2  1        1        3        3
I3D         5x7x7/1,2,2                     1x3x3/1,2,2  3        3 1 ..   3 1 ..   1 3 ..
3D ResNet   5x7x7/2,2,2                     3x3x3/2,2,2  3        3 1 ..   3 1 ..   1 3 ..
3D RS       5x3x3/2,2,2  1x3x3  1x3x3       1x3x3/1,2,2  1        1        3        3
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from vertebra.contracts import Backbone, Encoding
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm_3d import ConvNorm3d, Extent
from vertebra.layers.rounding import round_channels
from vertebra.layers.self_gating import SelfGating
from vertebra.layers.squeeze_excite import SqueezeExcite
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.ranges import (
    layout_of,
    require_count,
    require_factor,
    require_rate,
    require_share,
    require_stages,
    scaled_depth,
)
from vertebra.models.residual_blocks import Bottleneck, Branch, relu
from vertebra.models.resnet import EXPANSION, STAGE_CHANNELS, STAGE_SHARES
from vertebra.models.resnet_rs import BLOCKS
from vertebra.models.shell import Place, ResidualBlock, ResidualNet, Stem, initialise

Kernels = tuple[tuple[int, ...], ...]

ALL_FLAT: Kernels = ((1,), (1,), (1,), (1,))
LATE: Kernels = ((1,), (1,), (3,), (3,))
EVERY_OTHER: Kernels = ((3,), (3, 1), (3, 1), (1, 3))
"""Kernels over time of each stage's blocks, repeated along the stage."""


class ClipNet(ResidualNet):
    """A residual network over frames, rows and columns; what `MapSpec` says holds for the latter.

    Clips [N, C, T, H, W] give maps [N, C_i, T_i, H_i, W_i]; images [N, C, H, W] are clips of one
    frame and give maps [N, C_i, H_i, W_i].
    """

    def forward(self, images: Tensor) -> Encoding:
        """images: [N, C, T, H, W] or [N, C, H, W] -> each stage's map, and the last one's mean."""
        if images.ndim == 5:
            return super().forward(images)
        maps, vector = super().forward(images.unsqueeze(2))
        return Encoding(tuple(each.squeeze(2) for each in maps), vector)

    def pool(self, x: Tensor) -> Tensor:
        """x: [N, C, T, H, W] -> its mean [N, C]."""
        return x.mean((2, 3, 4))


@dataclass(frozen=True, kw_only=True)
class ResNet3dSpec:
    """A residual network for clips as a value.

    time_kernels:     of the first convolution of a stage's blocks, odd, repeated along the stage.
    stem_kernel:      of the stem over time, odd.
    stem_stride:      of the stem's convolution over time.
    stem_is_deep:     three 3x3 convolutions, two of them half as wide, for one of 7x7.
    pool_kernel:      of the stem's pool over time, odd; its stride over time is `pool_stride`.
    halves_time:      the first stage ends with a pool of two frames.
    squeeze:          inner width of squeeze-and-excitation as a share of a block's output; None has
                      no gate.
    self_gating:      the last block of each stage has a gate of its own before that one.
    stochastic_depth: rate of the last stage; the four have 2/5, 3/5, 4/5 and 5/5 of it.
    width, depth:     multiply the channels and `blocks`.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    time_kernels: Kernels = LATE
    stem_kernel: int = 1
    stem_stride: int = 1
    stem_is_deep: bool = False
    pool_kernel: int = 1
    pool_stride: int = 1
    halves_time: bool = False
    squeeze: float | None = None
    self_gating: bool = False
    stochastic_depth: float = 0.0
    width: float = 1.0
    depth: float = 1.0
    zero_init_last: bool = True

    def __post_init__(self) -> None:
        require_factor("width", self.width)
        require_factor("depth", self.depth)
        require_rate("stochastic_depth", self.stochastic_depth)
        require_count("stem_stride", self.stem_stride)
        require_count("pool_stride", self.pool_stride)
        require_stages("blocks", self.blocks)
        if len(self.time_kernels) != len(STAGE_CHANNELS) or not all(self.time_kernels):
            raise RecipeError(f"time_kernels={self.time_kernels}; give some for each of 4 stages")
        for kernel in (self.stem_kernel, self.pool_kernel, *sum(self.time_kernels, ())):
            if kernel < 1 or kernel % 2 == 0:
                raise RecipeError(f"a kernel over time is {kernel}; choose an odd number above 0")
        require_share("squeeze", self.squeeze)

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        blocks = [scaled_depth(count, self.depth) for count in self.blocks]
        net = ClipNet(
            self._stem(in_channels, round_channels(STAGE_CHANNELS[0] * self.width)),
            self._block,
            blocks=blocks,
            channels=[round_channels(channels * self.width) for channels in STAGE_CHANNELS],
            in_channels=in_channels,
        )
        initialise(net, zero_init_last=self.zero_init_last)
        if self.halves_time:
            net.stages[0].add_module("time_pool", nn.MaxPool3d((2, 1, 1), ceil_mode=True))
        return net

    def _stem(self, in_channels: int, channels: int) -> Stem:
        first: Extent = (self.stem_stride, 2, 2)
        parts: dict[str, nn.Module] = {}
        if self.stem_is_deep:
            half, flat = channels // 2, (1, 3, 3)
            kernel = (self.stem_kernel, 3, 3)
            parts["first"] = ConvNorm3d(in_channels, half, kernel=kernel, stride=first, act=relu())
            parts["second"] = ConvNorm3d(half, half, kernel=flat, act=relu())
            parts["third"] = ConvNorm3d(half, channels, kernel=flat, act=relu())
        else:
            kernel = (self.stem_kernel, 7, 7)
            parts["whole"] = ConvNorm3d(
                in_channels, channels, kernel=kernel, stride=first, act=relu()
            )
        parts["pool"] = nn.MaxPool3d(
            (self.pool_kernel, 3, 3),
            stride=(self.pool_stride, 2, 2),
            padding=(self.pool_kernel // 2, 1, 1),
        )
        return Stem(parts, channels=channels, stride=4)

    def _block(self, place: Place) -> ResidualBlock:
        kernels = self.time_kernels[place.stage]
        out_channels = place.channels * EXPANSION["bottleneck"]
        space: Extent = (1, place.stride, place.stride)
        shortcut: nn.Module = nn.Identity()
        if place.stride > 1 or place.in_channels != out_channels:
            shortcut = ConvNorm3d(place.in_channels, out_channels, stride=space)
        rate = self.stochastic_depth * STAGE_SHARES[place.stage]
        return Bottleneck(
            ConvNorm3d(
                place.in_channels,
                place.channels,
                kernel=(kernels[place.position % len(kernels)], 1, 1),
                act=relu(),
            ),
            ConvNorm3d(place.channels, place.channels, kernel=(1, 3, 3), stride=space, act=relu()),
            ConvNorm3d(place.channels, out_channels),
            shortcut=shortcut,
            branch=Branch(
                self._gate(out_channels, is_last=place.is_last),
                StochasticDepth(rate) if rate else nn.Identity(),
            ),
        )

    def _gate(self, channels: int, *, is_last: bool) -> nn.Module:
        gates: dict[str, nn.Module] = {}
        if self.self_gating and is_last:
            gates["own"] = SelfGating(channels)
        if self.squeeze is not None:
            gates["channel"] = SqueezeExcite(channels, round_channels(channels * self.squeeze))
        return nn.Sequential(OrderedDict(gates)) if gates else nn.Identity()


_SLOW = ResNet3dSpec()
_I3D = ResNet3dSpec(time_kernels=EVERY_OTHER, stem_kernel=5)


def resnet3d_rs(depth: int) -> ResNet3dSpec:
    """Returns 3D ResNet-RS, as deep as ResNet-RS may be.

    Raises:
        RecipeError: `depth` has no published layout.
    """
    return ResNet3dSpec(
        blocks=layout_of(depth, BLOCKS),
        stem_kernel=5,
        stem_stride=2,
        stem_is_deep=True,
        squeeze=0.25,
        self_gating=True,
        stochastic_depth=0.1,
    )


NAMED: Mapping[str, ResNet3dSpec] = {
    "c2d_resnet50": ResNet3dSpec(time_kernels=ALL_FLAT, halves_time=True),
    "slow_resnet50": _SLOW,
    "slow_resnet101": replace(_SLOW, blocks=BLOCKS[101]),
    "i3d_resnet50": replace(_I3D, halves_time=True),
    "resnet3d50": replace(_I3D, stem_stride=2, pool_kernel=3, pool_stride=2, self_gating=True),
    "resnet3drs50": resnet3d_rs(50),
    "resnet3drs101": resnet3d_rs(101),
    "resnet3drs152": resnet3d_rs(152),
    "resnet3drs200": resnet3d_rs(200),
    "resnet3drs270": resnet3d_rs(270),
    "resnet3drs350": resnet3d_rs(350),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
