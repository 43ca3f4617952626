"""Residual networks in their A, B, C and D forms, with or without squeeze-and-excitation.

Source: Deep Residual Learning for Image Recognition (2015), table 1 and figure 5 (form A).
Source: Bag of Tricks for Image Classification (2019), section 4 and figure 2 (forms B, C, D).
Source: Squeeze-and-Excitation Networks (2018), figure 3 (where the gate stands).
Source: Aggregated Residual Transformations for Deep Neural Networks (2017), figure 3c (groups).
Source: Selective Kernel Networks (2019), ResNeSt (2020): what may stand in the 3x3's place.
Source: Group Normalization (2018); Weight Standardization (2019): other norms, and filters.
Differs: `stem_pool=None` is ours.

form  stem               branch of a halving bottleneck    shortcut of a halving block
A     7x7/2              1x1/2  3x3    1x1                 1x1/2
B     7x7/2              1x1    3x3/2  1x1                 1x1/2
C     3x3/2  3x3  3x3    1x1    3x3/2  1x1                 1x1/2
D     3x3/2  3x3  3x3    1x1    3x3/2  1x1                 2x2/2 average, 1x1
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias, get_args

from torch import nn

from vertebra.contracts import Backbone
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.drop_block import DropBlock
from vertebra.layers.norm import GroupNormSpec
from vertebra.layers.rounding import round_channels
from vertebra.layers.selective_kernel import SelectiveKernelSpec
from vertebra.layers.split_attention import SplitAttentionSpec
from vertebra.layers.squeeze_excite import SqueezeExcite
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.ranges import (
    require_count,
    require_factor,
    require_one_of,
    require_rate,
    require_share,
    require_stages,
    scaled_depth,
)
from vertebra.models.residual_blocks import (
    BasicBlock,
    Bottleneck,
    Branch,
    StemPool,
    averaged_shortcut,
    deep_stem,
    plain_stem,
    relu,
    stem_end,
    strided_shortcut,
)
from vertebra.models.shell import Place, ResidualBlock, ResidualNet, Stem, initialise
from vertebra.models.surgery import replace_norms, standardise_convolutions

BlockKind = Literal["basic", "bottleneck"]
Form = Literal["A", "B", "C", "D"]
DepthRule = Literal["linear", "stage", "constant"]
SpatialSpec: TypeAlias = SplitAttentionSpec | SelectiveKernelSpec

STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION: Mapping[BlockKind, int] = {"basic": 1, "bottleneck": 4}
STAGE_SHARES = (2 / 5, 3 / 5, 4 / 5, 5 / 5)
"""Share of the stochastic-depth rate that each stage gets under the "stage" rule."""
DROP_BLOCKS: Mapping[int, tuple[int, float]] = {2: (5, 0.25), 3: (3, 1.0)}
"""Stage -> (size, gamma_scale) of its DropBlock; earlier stages have none."""


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """A residual network as a value.

    blocks:                number of blocks in each stage, before `depth` multiplies it.
    form:                  where the strides are, see above; A and B of basic blocks agree.
    stem_channels:         of the stem's output, before `width` multiplies them.
    stem_pool:             what ends the stem: a 3x3/2 max pool, a 3x3/2 convolution (ResNet-RS), or
                           None, which leaves maps twice as fine, for small images.
    groups, group_width:   of a bottleneck's 3x3 convolution; the first stage has `groups` groups of
                           `group_width` channels, each later one groups twice as wide.
    spatial:               what stands in the place of a bottleneck's 3x3 convolution, for which its
                           groups widen to what it can split; None is that convolution.
    squeeze:               inner width of squeeze-and-excitation as a share of a block's output, in
                           (0, 1], rounded to the nearest multiple of 8; None has no gate.
    norm:                  the norm of every layer; None is a batch norm.
    standardised:          the convolutions before a norm have standardised filters.
    width, depth:          multiply the channels (rounded to multiples of 8) and `blocks` (to whole
                           ones, halves up, at least one).
    stochastic_depth:      rate of the deepest block, in [0, 1).
    stochastic_depth_rule: "linear" grows from 0 at the first block; "stage" gives the four stages
                           2/5, 3/5, 4/5 and 5/5 of the rate; "constant" gives every block all.
    drop_block:            rate of DropBlock in the last two stages, in [0, 1).
    zero_init_last:        every residual branch starts at zero.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    block: BlockKind = "bottleneck"
    form: Form = "B"
    stem_channels: int = 64
    stem_pool: StemPool | None = "max"
    groups: int = 1
    group_width: int = 64
    spatial: SpatialSpec | None = None
    squeeze: float | None = None
    norm: GroupNormSpec | None = None
    standardised: bool = False
    width: float = 1.0
    depth: float = 1.0
    stochastic_depth: float = 0.0
    stochastic_depth_rule: DepthRule = "linear"
    drop_block: float = 0.0
    zero_init_last: bool = True

    def __post_init__(self) -> None:
        require_one_of("block", self.block, get_args(BlockKind))
        require_one_of("form", self.form, get_args(Form))
        require_one_of("stem_pool", self.stem_pool, (*get_args(StemPool), None))
        require_one_of("stochastic_depth_rule", self.stochastic_depth_rule, get_args(DepthRule))
        require_count("stem_channels", self.stem_channels)
        require_count("groups", self.groups)
        require_count("group_width", self.group_width)
        require_factor("width", self.width)
        require_factor("depth", self.depth)
        require_rate("stochastic_depth", self.stochastic_depth)
        require_rate("drop_block", self.drop_block)
        require_stages("blocks", self.blocks)
        if self.block == "basic" and (self.groups, self.group_width) != (1, 64):
            raise RecipeError(
                f"groups={self.groups}, group_width={self.group_width} with block='basic'; "
                "only a bottleneck has groups"
            )
        if self.block == "basic" and self.spatial is not None:
            raise RecipeError(
                f"spatial={self.spatial} with block='basic'; only a bottleneck has a place for it"
            )
        require_share("squeeze", self.squeeze)

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        net = ResidualNet(
            self._stem(in_channels),
            self._block,
            blocks=[scaled_depth(count, self.depth) for count in self.blocks],
            channels=[round_channels(channels * self.width) for channels in STAGE_CHANNELS],
            in_channels=in_channels,
        )
        if self.norm is not None:
            replace_norms(net, self.norm)
        if self.standardised:
            standardise_convolutions(net)
        initialise(net, zero_init_last=self.zero_init_last)
        return net

    def _stem(self, in_channels: int) -> Stem:
        channels = round_channels(self.stem_channels * self.width)
        deep = self.form in ("C", "D")
        parts = deep_stem(in_channels, channels) if deep else plain_stem(in_channels, channels)
        parts |= stem_end(self.stem_pool, channels)
        return Stem(parts, channels=channels, stride=2 if self.stem_pool is None else 4)

    def _block(self, place: Place) -> ResidualBlock:
        make = averaged_shortcut if self.form == "D" else strided_shortcut
        out_channels = place.channels * EXPANSION[self.block]
        shortcut = make(place.in_channels, out_channels, stride=place.stride)
        branch = Branch(self._gate(out_channels), self._stochastic_depth(place))
        if self.block == "basic":
            return BasicBlock(
                self._spatial(place.in_channels, out_channels, place, stride=place.stride),
                ConvNorm(out_channels, out_channels, kernel=3),
                shortcut=shortcut,
                branch=branch,
            )
        inner = self._inner_channels(place)
        strides = (place.stride, 1) if self.form == "A" else (1, place.stride)
        return Bottleneck(
            ConvNorm(place.in_channels, inner, stride=strides[0], act=relu()),
            self._spatial(inner, inner, place, stride=strides[1]),
            ConvNorm(inner, out_channels),
            shortcut=shortcut,
            branch=branch,
        )

    def _inner_channels(self, place: Place) -> int:
        """Returns the width between a bottleneck's 1x1 convolutions."""
        per_group = max(1, place.channels * self.group_width // 64)
        multiple = 1 if self.spatial is None else self.spatial.group_multiple
        return -(-per_group // multiple) * multiple * self.groups

    def _spatial(self, in_channels: int, channels: int, place: Place, *, stride: int) -> nn.Module:
        act = partial(self._dropping_relu, place.stage)
        if self.spatial is not None:
            return self.spatial.build(channels, stride=stride, groups=self.groups, act=act)
        return ConvNorm(
            in_channels,
            channels,
            kernel=3,
            stride=stride,
            groups=self.groups,
            act=act(),
        )

    def _gate(self, channels: int) -> nn.Module:
        if self.squeeze is None:
            return nn.Identity()
        return SqueezeExcite(channels, round_channels(channels * self.squeeze))

    def _dropping_relu(self, stage: int) -> nn.Module:
        """Returns the activation after the convolution that may stride, DropBlock before it."""
        if self.drop_block == 0 or stage not in DROP_BLOCKS:
            return relu()
        size, gamma_scale = DROP_BLOCKS[stage]
        return nn.Sequential(DropBlock(self.drop_block, size=size, gamma_scale=gamma_scale), relu())

    def _stochastic_depth(self, place: Place) -> nn.Module:
        shares: Mapping[DepthRule, float] = {
            "linear": place.fraction,
            "stage": STAGE_SHARES[place.stage],
            "constant": 1.0,
        }
        rate = self.stochastic_depth * shares[self.stochastic_depth_rule]
        return StochasticDepth(rate) if rate else nn.Identity()


_18 = ResNetSpec(block="basic", blocks=(2, 2, 2, 2))
_34 = ResNetSpec(block="basic", blocks=(3, 4, 6, 3))
_50 = ResNetSpec(blocks=(3, 4, 6, 3))
_101 = ResNetSpec(blocks=(3, 4, 23, 3))
_152 = ResNetSpec(blocks=(3, 8, 36, 3))
_SE = 1 / 16

NAMED: Mapping[str, ResNetSpec] = {
    "resnet18": _18,
    "resnet34": _34,
    "resnet50": _50,
    "resnet101": _101,
    "resnet152": _152,
    "resnet50a": replace(_50, form="A"),
    "resnet101a": replace(_101, form="A"),
    "resnet152a": replace(_152, form="A"),
    "resnet50c": replace(_50, form="C"),
    "resnet101c": replace(_101, form="C"),
    "resnet152c": replace(_152, form="C"),
    "resnet18d": replace(_18, form="D"),
    "resnet34d": replace(_34, form="D"),
    "resnet50d": replace(_50, form="D"),
    "resnet101d": replace(_101, form="D"),
    "resnet152d": replace(_152, form="D"),
    "resnet50_gn": replace(_50, norm=GroupNormSpec(groups=32)),
    "resnet50_gn_ws": replace(_50, norm=GroupNormSpec(groups=32), standardised=True),
    "seresnet18": replace(_18, squeeze=_SE),
    "seresnet34": replace(_34, squeeze=_SE),
    "seresnet50": replace(_50, squeeze=_SE),
    "seresnet101": replace(_101, squeeze=_SE),
    "seresnet152": replace(_152, squeeze=_SE),
    "resnext50_32x4d": replace(_50, groups=32, group_width=4),
    "resnext101_32x4d": replace(_101, groups=32, group_width=4),
    "resnext101_32x8d": replace(_101, groups=32, group_width=8),
    "resnext101_64x4d": replace(_101, groups=64, group_width=4),
    "seresnext50_32x4d": replace(_50, groups=32, group_width=4, squeeze=_SE),
    "seresnext101_32x4d": replace(_101, groups=32, group_width=4, squeeze=_SE),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
