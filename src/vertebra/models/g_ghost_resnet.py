"""G-Ghost-ResNet: residual networks with G-Ghost stages.

Source: GhostNets on Heterogeneous Devices via Cheap Operations (2022), the G-Ghost stage.
Differs: no such network was released. The layout is inferred from a parameter count: ghosts in
every stage, a share of 0.5, one layer as the mix and `split="convolution"` give the 38,216,872 that
were printed for a ResNet-101 on a device that is slow at slicing. Where its norms and activations
stand, and which share the paper's own tables have, is not known to us.
Differs: the third stage keeps three blocks whatever `depth` says, so that it has ghosts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from vertebra.contracts import Backbone
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.rounding import round_channels
from vertebra.models.g_ghost import (
    FEWEST_BLOCKS,
    Four,
    GGhostNet,
    GhostStage,
    Project,
    Slice,
    StagePlace,
    block_counts,
    bottleneck,
    check_ghosts,
)
from vertebra.models.ranges import require_count, require_one_of
from vertebra.models.residual_blocks import plain_stem, stem_end
from vertebra.models.resnet import EXPANSION, STAGE_CHANNELS
from vertebra.models.shell import ResidualBlock, Stem, initialise

Split = Literal["slice", "convolution"]


@dataclass(frozen=True, kw_only=True)
class GGhostResNetSpec:
    """A residual network of bottlenecks, form B, as a value; stages of three blocks have ghosts.

    blocks:         number of blocks in each stage, before `depth` multiplies it.
    ghost_share:    lambda, in (0, 1); share of a stage's channels that are ghosts.
    split:          "slice" gives inner blocks and ghosts channels of their own; "convolution" gives
                    the former a 1x1 convolution of all channels and the latter all channels.
    width, depth:   as of a `ResNetSpec`, but the third stage keeps three blocks.
    zero_init_last: every residual branch starts at zero.
    """

    blocks: Four = (3, 4, 6, 3)
    ghost_share: float = 0.5
    split: Split = "slice"
    width: float = 1.0
    depth: float = 1.0
    zero_init_last: bool = True

    def __post_init__(self) -> None:
        check_ghosts(
            blocks=self.blocks, ghost_share=self.ghost_share, width=self.width, depth=self.depth
        )
        require_one_of("split", self.split, get_args(Split))

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        within = [round_channels(channels * self.width) for channels in STAGE_CHANNELS]
        given = within[0]
        net = GGhostNet(
            Stem(plain_stem(in_channels, given) | stem_end("max", given), channels=given, stride=4),
            self._stage,
            channels=[EXPANSION["bottleneck"] * channels for channels in within],
            blocks=block_counts(self.blocks, self.depth),
            in_channels=in_channels,
        )
        initialise(net, zero_init_last=self.zero_init_last)
        return net

    def _stage(self, place: StagePlace) -> nn.Module:
        wide = place.channels
        first = _block(place.in_channels, wide, stride=2 if place.stage else 1)
        if place.blocks < FEWEST_BLOCKS:
            return nn.Sequential(first, *[_block(wide, wide) for _ in range(place.blocks - 1)])
        expansion = EXPANSION["bottleneck"]
        narrow = expansion * max(1, int((1 - self.ghost_share) * wide / expansion))
        inner = [_block(narrow, narrow) for _ in range(place.blocks - 2)]
        ghosts = wide - narrow
        slices = self.split == "slice"
        return GhostStage(
            first,
            inner,
            _block(wide, wide),
            split=Slice(narrow) if slices else Project(wide, narrow),
            cheap=ConvNorm(ghosts if slices else wide, ghosts),
            mix=ConvNorm(wide + narrow * len(inner), ghosts),
        )


def _block(in_channels: int, channels: int, *, stride: int = 1) -> ResidualBlock:
    within = channels // EXPANSION["bottleneck"]
    return bottleneck(in_channels, channels, within=within, stride=stride)


NAMED: Mapping[str, GGhostResNetSpec] = {
    "g_ghost_resnet50": GGhostResNetSpec(blocks=(3, 4, 6, 3)),
    "g_ghost_resnet101": GGhostResNetSpec(blocks=(3, 4, 23, 3)),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
