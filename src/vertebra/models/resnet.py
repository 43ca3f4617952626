"""Residual networks in their A, B, C and D forms, with or without squeeze-and-excitation.

Source: Deep Residual Learning for Image Recognition (2015), table 1 and figure 5 (form A).
Source: Bag of Tricks for Image Classification (2019), section 4 and figure 2 (forms B, C, D).
Source: Squeeze-and-Excitation Networks (2018), figure 3 (where the gate stands).
Differs: D averages over the cells that exist where a map's side is odd; `stem_pool=None` is ours.

form  stem               branch of a halving bottleneck    shortcut of a halving block
A     7x7/2              1x1/2  3x3    1x1                 1x1/2
B     7x7/2              1x1    3x3/2  1x1                 1x1/2
C     3x3/2  3x3  3x3    1x1    3x3/2  1x1                 1x1/2
D     3x3/2  3x3  3x3    1x1    3x3/2  1x1                 2x2/2 average, 1x1
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

from torch import Tensor, nn

from vertebra.contracts import Backbone
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.drop_block import DropBlock
from vertebra.layers.rounding import round_channels
from vertebra.layers.squeeze_excite import SqueezeExcite
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.shell import Place, ResidualBlock, ResidualNet, Stem, initialise

BlockKind = Literal["basic", "bottleneck"]
Form = Literal["A", "B", "C", "D"]
StemPool = Literal["max", "conv"]
DepthRule = Literal["linear", "stage"]

STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION: Mapping[BlockKind, int] = {"basic": 1, "bottleneck": 4}
STAGE_SHARES = (2 / 5, 3 / 5, 4 / 5, 5 / 5)
"""Share of the stochastic-depth rate that each stage gets under the "stage" rule."""
DROP_BLOCKS: Mapping[int, tuple[int, float]] = {2: (5, 0.25), 3: (3, 1.0)}
"""Stage -> (size, gamma_scale) of its DropBlock; earlier stages have none."""


class BranchParts(NamedTuple):
    """What a block is given: its shortcut, and what acts on its branch.

    gate:             after the last norm.
    drop_block:       after the norm of the 3x3 convolution that may stride.
    stochastic_depth: just before the branch meets the shortcut.
    """

    shortcut: nn.Module
    gate: nn.Module
    drop_block: nn.Module
    stochastic_depth: nn.Module


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions; the first one strides."""

    def __init__(self, in_channels: int, channels: int, *, stride: int, parts: BranchParts) -> None:
        super().__init__()
        self.out_channels = channels
        self.first = ConvNorm(in_channels, channels, kernel=3, stride=stride)
        self.second = ConvNorm(channels, channels, kernel=3)
        self.shortcut, self.gate, self.drop_block, self.stochastic_depth = parts
        self.act = _relu()

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        branch = self.act(self.drop_block(self.first(x)))
        branch = self.stochastic_depth(self.gate(self.second(branch)))
        branch += self.shortcut(x)
        return self.act(branch)

    def last_norm(self) -> nn.BatchNorm2d:
        """Returns the norm of the second convolution."""
        return self.second.norm


class Bottleneck(ResidualBlock):
    """A 1x1, a 3x3 and a 1x1 convolution to four times as many channels.

    strides: of the first two.
    """

    def __init__(
        self, in_channels: int, channels: int, *, strides: tuple[int, int], parts: BranchParts
    ) -> None:
        super().__init__()
        self.out_channels = channels * EXPANSION["bottleneck"]
        self.reduce = ConvNorm(in_channels, channels, stride=strides[0], act=_relu())
        self.spatial = ConvNorm(channels, channels, kernel=3, stride=strides[1])
        self.expand = ConvNorm(channels, self.out_channels)
        self.shortcut, self.gate, self.drop_block, self.stochastic_depth = parts
        self.act = _relu()

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, 4 channels, ceil(H / stride), ceil(W / stride)]."""
        branch = self.act(self.drop_block(self.spatial(self.reduce(x))))
        branch = self.stochastic_depth(self.gate(self.expand(branch)))
        branch += self.shortcut(x)
        return self.act(branch)

    def last_norm(self) -> nn.BatchNorm2d:
        """Returns the norm of the last convolution."""
        return self.expand.norm


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """A residual network as a value.

    blocks:                number of blocks in each stage, before `depth` multiplies it.
    form:                  where the strides are, see above; A and B of basic blocks agree.
    stem_pool:             what ends the stem: a 3x3/2 max pool, a 3x3/2 convolution (ResNet-RS), or
                           None, which leaves maps twice as fine, for small images.
    squeeze:               inner width of squeeze-and-excitation as a share of a block's output, in
                           (0, 1], rounded to the nearest multiple of 8; None has no gate.
    width, depth:          multiply the channels (rounded to multiples of 8) and `blocks` (to whole
                           ones, halves up, at least one).
    stochastic_depth:      rate of the deepest block, in [0, 1).
    stochastic_depth_rule: "linear" grows from 0 at the first block; "stage" gives the four stages
                           2/5, 3/5, 4/5 and 5/5 of the rate.
    drop_block:            rate of DropBlock in the last two stages, in [0, 1).
    zero_init_last:        every residual branch starts at zero.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    block: BlockKind = "bottleneck"
    form: Form = "B"
    stem_pool: StemPool | None = "max"
    squeeze: float | None = None
    width: float = 1.0
    depth: float = 1.0
    stochastic_depth: float = 0.0
    stochastic_depth_rule: DepthRule = "linear"
    drop_block: float = 0.0
    zero_init_last: bool = True

    def __post_init__(self) -> None:
        _require_one_of("block", self.block, get_args(BlockKind))
        _require_one_of("form", self.form, get_args(Form))
        _require_one_of("stem_pool", self.stem_pool, (*get_args(StemPool), None))
        _require_one_of("stochastic_depth_rule", self.stochastic_depth_rule, get_args(DepthRule))
        if len(self.blocks) != len(STAGE_CHANNELS) or min(self.blocks) < 1:
            raise RecipeError(f"blocks={self.blocks}; give four whole numbers, each at least 1")
        for name, factor in (("width", self.width), ("depth", self.depth)):
            if not (math.isfinite(factor) and factor > 0):
                raise RecipeError(f"{name}={factor}; give a finite factor above 0, such as 0.5")
        for name, rate in (
            ("stochastic_depth", self.stochastic_depth),
            ("drop_block", self.drop_block),
        ):
            if not 0 <= rate < 1:
                raise RecipeError(f"{name}={rate}; give a rate in [0, 1), where 0 is none")
        if self.squeeze is not None and not 0 < self.squeeze <= 1:
            raise RecipeError(f"squeeze={self.squeeze}; give a share in (0, 1], or None for none")

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        if in_channels < 1:
            raise RecipeError(f"in_channels={in_channels}; images have at least one channel")
        channels = [round_channels(inner * self.width) for inner in STAGE_CHANNELS]
        net = ResidualNet(
            self._stem(in_channels, channels[0]),
            self._block,
            blocks=[max(1, int(count * self.depth + 0.5)) for count in self.blocks],
            channels=channels,
            in_channels=in_channels,
        )
        initialise(net, zero_init_last=self.zero_init_last)
        return net

    def _stem(self, in_channels: int, channels: int) -> Stem:
        deep = self.form in ("C", "D")
        parts = deep_stem(in_channels, channels) if deep else plain_stem(in_channels, channels)
        if self.stem_pool == "max":
            parts["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
        elif self.stem_pool == "conv":
            parts["pool"] = ConvNorm(channels, channels, kernel=3, stride=2, act=_relu())
        return Stem(parts, channels=channels, stride=2 if self.stem_pool is None else 4)

    def _block(self, place: Place) -> ResidualBlock:
        out_channels = place.channels * EXPANSION[self.block]
        parts = BranchParts(
            self._shortcut(place.in_channels, out_channels, stride=place.stride),
            self._gate(out_channels),
            self._drop_block(place.stage),
            self._stochastic_depth(place),
        )
        if self.block == "basic":
            return BasicBlock(place.in_channels, place.channels, stride=place.stride, parts=parts)
        strides = (place.stride, 1) if self.form == "A" else (1, place.stride)
        return Bottleneck(place.in_channels, place.channels, strides=strides, parts=parts)

    def _shortcut(self, in_channels: int, out_channels: int, *, stride: int) -> nn.Module:
        if stride == 1 and in_channels == out_channels:
            return nn.Identity()
        if self.form == "D":
            return averaged_shortcut(in_channels, out_channels, stride=stride)
        return ConvNorm(in_channels, out_channels, stride=stride)

    def _gate(self, channels: int) -> nn.Module:
        if self.squeeze is None:
            return nn.Identity()
        return SqueezeExcite(channels, round_channels(channels * self.squeeze))

    def _drop_block(self, stage: int) -> nn.Module:
        if self.drop_block == 0 or stage not in DROP_BLOCKS:
            return nn.Identity()
        size, gamma_scale = DROP_BLOCKS[stage]
        return DropBlock(self.drop_block, size=size, gamma_scale=gamma_scale)

    def _stochastic_depth(self, place: Place) -> nn.Module:
        by_stage = self.stochastic_depth_rule == "stage"
        rate = self.stochastic_depth * (STAGE_SHARES[place.stage] if by_stage else place.fraction)
        return StochasticDepth(rate) if rate else nn.Identity()


def plain_stem(in_channels: int, channels: int) -> dict[str, nn.Module]:
    """Returns the stem of forms A and B: one 7x7 convolution of stride 2."""
    return {"whole": ConvNorm(in_channels, channels, kernel=7, stride=2, act=_relu())}


def deep_stem(in_channels: int, channels: int) -> dict[str, nn.Module]:
    """Returns the stem of forms C and D: three 3x3 convolutions, two of them half as wide."""
    half = channels // 2
    return {
        "first": ConvNorm(in_channels, half, kernel=3, stride=2, act=_relu()),
        "second": ConvNorm(half, half, kernel=3, act=_relu()),
        "third": ConvNorm(half, channels, kernel=3, act=_relu()),
    }


def averaged_shortcut(in_channels: int, channels: int, *, stride: int) -> nn.Module:
    """Returns the shortcut of form D: an average pool if it strides, then a 1x1 convolution."""
    pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(
        OrderedDict(
            pool=pool if stride > 1 else nn.Identity(), project=ConvNorm(in_channels, channels)
        )
    )


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _require_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise RecipeError(f"{name}={value!r}; choose one of {', '.join(map(repr, allowed))}")


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
    "seresnet18": replace(_18, squeeze=_SE),
    "seresnet34": replace(_34, squeeze=_SE),
    "seresnet50": replace(_50, squeeze=_SE),
    "seresnet101": replace(_101, squeeze=_SE),
    "seresnet152": replace(_152, squeeze=_SE),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
