"""ConvNeXt: a convolutional network with the proportions of a Transformer.

Source: A ConvNet for the 2020s (2022), section 2, figure 4 and table 9; section 3.3 (isotropic).
Differs: where a side is no multiple of what a patch convolution strides by, zeros below and to the
right fill its last patches, so that maps are ceil(H / stride) high; the released code drops them.
Differs: levels are the stem, runs of three blocks and the last norm, which is a level of its own,
where the paper's decay of learning rates counts it with the head.

images --stem--> stage1 --> stage2 --> stage3 --> stage4 --mean--> norm --> vector
                   |          |          |          |
                 maps[0]    maps[1]    maps[2]    maps[3]     strides 4, 8, 16, 32

The maps are not normed: a detector that wants a norm on each brings them, as in the paper.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from vertebra.contracts import Backbone, Foldable, MapSpec
from vertebra.errors import RecipeError
from vertebra.layers.channel_norm import ChannelNorm
from vertebra.layers.patch_conv import PatchConv
from vertebra.layers.rounding import round_channels
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.ranges import require_count, require_factor, require_rate, scaled_depth
from vertebra.models.shell import StagedNet, Stem

EPSILON = 1e-6
"""Of every norm."""
EXPANSION = 4
"""Of the channels inside a block."""
RUN = 3
"""Blocks in a level, at most."""


class Downsample(nn.Sequential):
    """[N, in_channels, H, W] -> [N, channels, ceil(H / 2), ceil(W / 2)]: a norm, then patches."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(
            OrderedDict(norm=ChannelNorm(in_channels), conv=PatchConv(in_channels, channels, 2))
        )


class ConvNeXtBlock(Foldable):
    """x -> x + gamma * reduce(gelu(expand(norm(spatial(x))))): [N, C, H, W] -> the same.

    layer_scale:      where gamma, one factor for each channel, starts; None has no gamma.
    stochastic_depth: rate at which the branch is dropped.
    """

    gamma: nn.Parameter | None

    def __init__(
        self, channels: int, *, layer_scale: float | None = 1e-6, stochastic_depth: float = 0.0
    ) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.expand = nn.Linear(channels, EXPANSION * channels)
        self.act = nn.GELU()
        self.reduce = nn.Linear(EXPANSION * channels, channels)
        self.gamma = None
        if layer_scale is not None:
            self.gamma = nn.Parameter(torch.full((channels,), layer_scale))
        rate = stochastic_depth
        self.stochastic_depth = StochasticDepth(rate) if rate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> the same."""
        # With channels last in memory, as each norm leaves them, these permutes move nothing.
        branch = self.norm(self.spatial(x).permute(0, 2, 3, 1))  # [N, H, W, C]
        branch = self.reduce(self.act(self.expand(branch)))
        branch = self.stochastic_depth(branch).permute(0, 3, 1, 2)  # [N, C, H, W]
        if self.gamma is None:
            return branch + x
        return torch.addcmul(x, branch, self.gamma.view(-1, 1, 1))  # one pass over memory, not two

    def folded(self) -> nn.Module:
        """Returns a block without gamma, whose last linear layer is scaled by it, and whose first
        one has the activation beside it."""
        block = deepcopy(self)
        if self.gamma is not None:
            with torch.no_grad():
                block.reduce.weight.mul_(self.gamma[:, None])
                block.reduce.bias.mul_(self.gamma)
            block.gamma = None
        widen = nn.Sequential(OrderedDict(linear=self.expand, act=self.act))
        block.expand, block.act = deepcopy(widen), nn.Identity()
        return block


BlockFactory: TypeAlias = Callable[[int, float], nn.Module]
"""(channels, 0 for the network's first block to 1 for its last) -> the block."""


class ConvNeXt(StagedNet):
    """A stem, stages of blocks that keep shape, and a norm of the last map's mean.

    From the second stage on each begins with a `Downsample`.
    """

    def __init__(
        self,
        stem: Stem,
        block: BlockFactory,
        *,
        blocks: Sequence[int],
        channels: Sequence[int],
        in_channels: int,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = stem
        self.stages = nn.ModuleList()
        maps: list[MapSpec] = []
        fractions = iter([place / max(sum(blocks) - 1, 1) for place in range(sum(blocks))])
        given, reduction = stem.channels, stem.stride
        for count, wanted in zip(blocks, channels, strict=True):
            parts = OrderedDict[str, nn.Module]()
            if maps:
                parts["downsample"] = Downsample(given, wanted)
                reduction *= 2
            stage = nn.Sequential()
            for place in range(count):
                parts[f"block{place}"] = block(wanted, next(fractions))
                if place % RUN == RUN - 1 or place == count - 1:
                    stage.append(nn.Sequential(parts))
                    parts = OrderedDict[str, nn.Module]()
            self.stages.append(stage)
            maps.append(MapSpec(f"stage{len(maps) + 1}", wanted, reduction))
            given = wanted
        self.norm = nn.LayerNorm(given, eps=EPSILON)
        self.maps = tuple(maps)
        self.width = given

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns the stem, each run of three blocks with what downsamples before it, the norm."""
        runs = [run for stage in self.stages for run in stage.children()]
        return (self.stem, *runs, self.norm)

    def pool(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> the normed mean [N, C]."""
        return self.norm(super().pool(x))


def initialise(net: nn.Module) -> None:
    """Draws every convolution and linear layer (normal, 0.02, cut at 2), zeroes their biases.

    A network on the meta device has nothing to draw and stays as it is.
    """
    if any(parameter.is_meta for parameter in net.parameters()):
        return
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@dataclass(frozen=True, kw_only=True)
class ConvNeXtSpec:
    """A ConvNeXt as a value.

    blocks, channels: of each stage, before `depth` and `width` multiply them.
    patch_px:         side of the stem's patches in pixels, and stride of the first map.
    has_stem_norm:    whether a norm follows the stem's convolution; isotropic networks have none.
    layer_scale:      where the blocks' gamma starts; None is a network without.
    width, depth:     multiply the channels (rounded to multiples of 8) and `blocks` (to whole ones,
                      halves up, at least one).
    stochastic_depth: rate of the last block, in [0, 1); grows from 0 at the first one.
    """

    blocks: tuple[int, ...] = (3, 3, 9, 3)
    channels: tuple[int, ...] = (96, 192, 384, 768)
    patch_px: int = 4
    has_stem_norm: bool = True
    layer_scale: float | None = 1e-6
    width: float = 1.0
    depth: float = 1.0
    stochastic_depth: float = 0.0

    def __post_init__(self) -> None:
        require_count("patch_px", self.patch_px)
        require_factor("width", self.width)
        require_factor("depth", self.depth)
        require_rate("stochastic_depth", self.stochastic_depth)
        if self.layer_scale is not None:
            require_factor("layer_scale", self.layer_scale)
        counts = (*self.blocks, *self.channels)
        if not counts or min(counts) < 1 or len(self.blocks) != len(self.channels):
            raise RecipeError(
                f"blocks={self.blocks}, channels={self.channels}; "
                "give as many of one as of the other, each at least 1"
            )

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        channels = [round_channels(each * self.width) for each in self.channels]
        net = ConvNeXt(
            self._stem(in_channels, channels[0]),
            self._block,
            blocks=[scaled_depth(count, self.depth) for count in self.blocks],
            channels=channels,
            in_channels=in_channels,
        )
        initialise(net)
        return net

    def _stem(self, in_channels: int, channels: int) -> Stem:
        parts: dict[str, nn.Module] = {"conv": PatchConv(in_channels, channels, self.patch_px)}
        if self.has_stem_norm:
            parts["norm"] = ChannelNorm(channels)
        return Stem(parts, channels=channels, stride=self.patch_px)

    def _block(self, channels: int, fraction: float) -> nn.Module:
        return ConvNeXtBlock(
            channels,
            layer_scale=self.layer_scale,
            stochastic_depth=self.stochastic_depth * fraction,
        )


def _isotropic(blocks: int, channels: int, *, layer_scale: float | None = None) -> ConvNeXtSpec:
    return ConvNeXtSpec(
        blocks=(blocks,),
        channels=(channels,),
        patch_px=16,
        has_stem_norm=False,
        layer_scale=layer_scale,
    )


_DEEP = (3, 3, 27, 3)

NAMED: Mapping[str, ConvNeXtSpec] = {
    "convnext_tiny": ConvNeXtSpec(),
    "convnext_small": ConvNeXtSpec(blocks=_DEEP),
    "convnext_base": ConvNeXtSpec(blocks=_DEEP, channels=(128, 256, 512, 1024)),
    "convnext_large": ConvNeXtSpec(blocks=_DEEP, channels=(192, 384, 768, 1536)),
    "convnext_xlarge": ConvNeXtSpec(blocks=_DEEP, channels=(256, 512, 1024, 2048)),
    "convnext_iso_small": _isotropic(18, 384),
    "convnext_iso_base": _isotropic(18, 768),
    "convnext_iso_large": _isotropic(36, 1024, layer_scale=1e-6),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
