"""G-Ghost-RegNet: RegNetX with G-Ghost stages.

Source: GhostNets on Heterogeneous Devices via Cheap Operations (2022), and the networks released
with it (stages, group widths and shares).
Source: Designing Network Design Spaces (2020), section 4 (RegNetX: block, depths, widths, groups).
Differs: the third stage keeps three blocks whatever `depth` says, so that it has ghosts. Residual
branches start at zero (`zero_init_last`), as our ResNets' do; those of the released ones do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from vertebra.contracts import Backbone
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.rounding import round_channels
from vertebra.models.g_ghost import (
    FEWEST_BLOCKS,
    Four,
    GGhostNet,
    GhostStage,
    Slice,
    StagePlace,
    block_counts,
    bottleneck,
    check_ghosts,
)
from vertebra.models.ranges import require_count, require_stages
from vertebra.models.residual_blocks import relu
from vertebra.models.shell import ResidualBlock, Stem, initialise

STEM_CHANNELS = 32
INNER_GROUP_WIDTH = 0.75
"""Group width of the blocks that the ghosts skip, as a share of the others'."""


@dataclass(frozen=True, kw_only=True)
class GGhostRegNetSpec:
    """A RegNetX as a value; its stages of three blocks or more, but for the first one, have ghosts.

    blocks:         number of blocks in each stage, before `depth` multiplies it.
    channels:       of each stage, before `width` multiplies them.
    group_width:    channels of a group in the 3x3 convolutions, before `width` multiplies it; a
                    stage with fewer channels is one group.
    ghost_share:    lambda, in (0, 1); the least share of channels that are ghosts, as the others
                    come in groups of three quarters of `group_width`.
    width:          group widths become multiples of 4, channels multiples of a group.
    depth:          blocks become whole numbers, halves up, at least one, in the third stage three.
    zero_init_last: every residual branch starts at zero.
    """

    blocks: Four = (2, 5, 15, 1)
    channels: Four = (80, 240, 720, 1920)
    group_width: int = 120
    ghost_share: float = 0.5
    width: float = 1.0
    depth: float = 1.0
    zero_init_last: bool = True

    def __post_init__(self) -> None:
        check_ghosts(
            blocks=self.blocks, ghost_share=self.ghost_share, width=self.width, depth=self.depth
        )
        require_count("group_width", self.group_width)
        require_stages("channels", self.channels)

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        given = round_channels(STEM_CHANNELS * self.width)
        stem = {"conv": ConvNorm(in_channels, given, kernel=3, stride=2, act=relu())}
        net = GGhostNet(
            Stem(stem, channels=given, stride=2),
            self._stage,
            channels=[self._channels(channels * self.width) for channels in self.channels],
            blocks=block_counts(self.blocks, self.depth),
            in_channels=in_channels,
        )
        initialise(net, zero_init_last=self.zero_init_last)
        return net

    @property
    def _group(self) -> int:
        return round_channels(self.group_width * self.width, 4)

    def _channels(self, channels: float) -> int:
        return round_channels(channels, self._group if channels >= self._group else 4)

    def _stage(self, place: StagePlace) -> nn.Module:
        wide = place.channels
        group = min(self._group, wide)
        first = _block(place.in_channels, wide, group=group, stride=2)
        if place.stage == 0 or place.blocks < FEWEST_BLOCKS:
            others = [_block(wide, wide, group=group) for _ in range(place.blocks - 1)]
            return nn.Sequential(first, *others)
        inner_group = int(INNER_GROUP_WIDTH * group)
        narrow = max(1, int((1 - self.ghost_share) * wide / inner_group)) * inner_group
        inner = [_block(narrow, narrow, group=inner_group) for _ in range(place.blocks - 2)]
        ghosts = wide - narrow
        return GhostStage(
            first,
            inner,
            _block(wide, wide, group=group),
            split=Slice(narrow),
            cheap=ConvNorm(ghosts, ghosts),
            mix=nn.Sequential(
                ConvNorm(wide + narrow * len(inner), ghosts, act=relu()), ConvNorm(ghosts, ghosts)
            ),
        )


def _block(in_channels: int, channels: int, *, group: int, stride: int = 1) -> ResidualBlock:
    return bottleneck(
        in_channels, channels, within=channels, stride=stride, groups=channels // group
    )


def _regnet(blocks: Four, channels: Four, group_width: int) -> GGhostRegNetSpec:
    return GGhostRegNetSpec(blocks=blocks, channels=channels, group_width=group_width)


NAMED: Mapping[str, GGhostRegNetSpec] = {
    "g_ghost_regnet_0_2": _regnet((1, 1, 4, 7), (24, 56, 152, 368), 8),
    "g_ghost_regnet_0_4": _regnet((1, 2, 7, 12), (32, 64, 160, 384), 16),
    "g_ghost_regnet_0_6": _regnet((1, 3, 5, 7), (48, 96, 240, 528), 24),
    "g_ghost_regnet_0_8": _regnet((1, 3, 7, 5), (64, 128, 288, 672), 16),
    "g_ghost_regnet_1_6": _regnet((2, 4, 10, 2), (72, 168, 408, 912), 24),
    "g_ghost_regnet_3_2": _regnet((2, 6, 15, 2), (96, 192, 432, 1008), 48),
    "g_ghost_regnet_4_0": _regnet((2, 5, 14, 2), (80, 240, 560, 1360), 40),
    "g_ghost_regnet_6_4": _regnet((2, 4, 10, 1), (168, 392, 784, 1624), 56),
    "g_ghost_regnet_8_0": _regnet((2, 5, 15, 1), (80, 240, 720, 1920), 120),
    "g_ghost_regnet_12": _regnet((2, 5, 11, 1), (224, 448, 896, 2240), 112),
    "g_ghost_regnet_16": _regnet((2, 6, 13, 1), (256, 512, 896, 2048), 128),
    "g_ghost_regnet_32": _regnet((2, 7, 13, 1), (336, 672, 1344, 2520), 168),
}
"""The networks that have a name, after the billions of multiply-adds of the RegNetX that each
stems from; `vertebra.models.shelf` finds them."""
