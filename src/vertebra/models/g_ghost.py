"""The G-Ghost stage: some channels skip the blocks in the middle; made for GPUs.

Source: GhostNets on Heterogeneous Devices via Cheap Operations (2022), the G-Ghost stage, and the
layout of the networks released with it.

first block          +-- intrinsic --> inner block --> ... --> inner block --+
of full width -- x --+        means of x and of every inner block --> mix    +-- last block
                     |                                                 |     |   of full width
                     +-- ghosts ------------> cheap -----------------> + ----+
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from vertebra.contracts import MapSpec
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.spatial_mean import spatial_mean
from vertebra.models.ranges import require_factor, require_stages, scaled_depth
from vertebra.models.residual_blocks import Bottleneck, Branch, relu, strided_shortcut
from vertebra.models.shell import ResidualBlock, StagedNet, Stem

Four: TypeAlias = tuple[int, int, int, int]

FEWEST_BLOCKS = 3
"""Of a stage with ghosts: the first, the last, and one that the ghosts skip."""
THIRD = 2
"""The stage that has ghosts in every network."""


class Slice(nn.Module):
    """The first channels for the inner blocks, the others for the ghosts."""

    def __init__(self, intrinsic: int) -> None:
        super().__init__()
        self.intrinsic = intrinsic

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [N, C, H, W] -> [N, intrinsic, H, W], [N, C - intrinsic, H, W]."""
        return x[:, : self.intrinsic], x[:, self.intrinsic :]


class Project(nn.Module):
    """A 1x1 convolution for the inner blocks, everything for the ghosts; where slicing is slow."""

    def __init__(self, channels: int, intrinsic: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, intrinsic, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [N, C, H, W] -> [N, intrinsic, H, W], [N, C, H, W]."""
        return self.conv(x), x


class GhostStage(nn.Module):
    """[N, in_channels, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)].

    first, last: blocks to C channels; the first one strides.
    inner:       blocks of fewer channels, which the ghosts skip.
    split:       gives what `inner` and `cheap` read.
    cheap:       makes the ghosts.
    mix:         from the means of `first` and of every inner block, joined, to what the ghosts
                 lack. Its batch norms see 1x1 maps: training needs two images at a time.
    """

    def __init__(
        self,
        first: ResidualBlock,
        inner: Sequence[ResidualBlock],
        last: ResidualBlock,
        *,
        split: nn.Module,
        cheap: nn.Module,
        mix: nn.Module,
    ) -> None:
        super().__init__()
        self.first = first
        self.split = split
        self.inner = nn.ModuleList(inner)
        self.cheap = cheap
        self.mix = mix
        self.act = relu()
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)]."""
        x = self.first(x)
        intrinsic, ghosts = self.split(x)
        means = [spatial_mean(x)]
        for block in self.inner:
            intrinsic = block(intrinsic)
            means.append(spatial_mean(intrinsic))
        ghosts = self.cheap(ghosts)
        ghosts += self.mix(torch.cat(means, 1))
        return self.last(torch.cat((intrinsic, self.act(ghosts)), 1))


class StagePlace(NamedTuple):
    """Which stage it is, from 0, and how large."""

    stage: int
    in_channels: int
    channels: int
    blocks: int


class GGhostNet(StagedNet):
    """A stem, and four stages whose maps have strides 4, 8, 16 and 32.

    stage:    makes the stage that belongs at a place.
    channels: of each stage's map.
    blocks:   number of blocks in each stage.
    """

    def __init__(
        self,
        stem: Stem,
        stage: Callable[[StagePlace], nn.Module],
        *,
        channels: Sequence[int],
        blocks: Sequence[int],
        in_channels: int,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = stem
        self.stages = nn.ModuleList()
        maps: list[MapSpec] = []
        given = stem.channels
        for number, (wide, count) in enumerate(zip(channels, blocks, strict=True)):
            self.stages.append(stage(StagePlace(number, given, wide, count)))
            maps.append(MapSpec(f"stage{number + 1}", wide, 4 << number))
            given = wide
        self.maps = tuple(maps)
        self.width = given


def bottleneck(
    in_channels: int, channels: int, *, within: int, stride: int = 1, groups: int = 1
) -> ResidualBlock:
    """Returns a bottleneck with `within` channels inside, whose 3x3 convolution strides."""
    return Bottleneck(
        ConvNorm(in_channels, within, act=relu()),
        ConvNorm(within, within, kernel=3, stride=stride, groups=groups, act=relu()),
        ConvNorm(within, channels),
        shortcut=strided_shortcut(in_channels, channels, stride=stride),
        branch=Branch(nn.Identity(), nn.Identity()),
    )


def block_counts(blocks: Four, depth: float) -> list[int]:
    """Returns the blocks of each stage, scaled; the third keeps those that ghosts need."""
    counts = [scaled_depth(count, depth) for count in blocks]
    counts[THIRD] = max(counts[THIRD], FEWEST_BLOCKS)
    return counts


def check_ghosts(*, blocks: Four, ghost_share: float, width: float, depth: float) -> None:
    """Refuses what no network with ghosts can be made of.

    Raises:
        RecipeError: a value is out of range.
    """
    require_factor("width", width)
    require_factor("depth", depth)
    require_stages("blocks", blocks)
    if not 0 < ghost_share < 1:
        raise RecipeError(f"ghost_share={ghost_share}; give a share in (0, 1), such as 0.5")
