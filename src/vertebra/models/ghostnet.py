"""GhostNet: inverted bottlenecks of Ghost modules, for phones and CPUs.

Source: GhostNet: More Features from Cheap Operations (2020), sections 3.2 and 3.3, table 1, and the
released code, where the second 1x1 convolution behind the stages has a bias and no norm.
Differs: the first bottleneck, which does not stride, belongs to the stem.

images --stem--> stage1 --> stage2 --> stage3 --> stage4 --neck--> vector
                   |          |          |          |
                 maps[0]    maps[1]    maps[2]    maps[3]     strides 4, 8, 16, 32
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import Backbone, MapSpec
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.ghost import GhostModule
from vertebra.layers.rounding import round_channels
from vertebra.layers.spatial_mean import spatial_mean
from vertebra.layers.squeeze_excite import SqueezeExcite
from vertebra.models.ranges import require_count, require_factor, require_share, scaled_depth
from vertebra.models.residual_blocks import relu
from vertebra.models.shell import StagedNet, initialise


class Row(NamedTuple):
    """A bottleneck of table 1; the first one of a stage has stride 2.

    kernel:   of the convolution that strides and of the shortcut; Ghost modules have their own.
    expanded: channels inside.
    """

    kernel: int
    expanded: int
    channels: int
    gated: bool


FIRST = Row(3, 16, 16, False)
STAGES: tuple[tuple[Row, ...], ...] = (
    (Row(3, 48, 24, False), Row(3, 72, 24, False)),
    (Row(5, 72, 40, True), Row(5, 120, 40, True)),
    (
        Row(3, 240, 80, False),
        Row(3, 200, 80, False),
        Row(3, 184, 80, False),
        Row(3, 184, 80, False),
        Row(3, 480, 112, True),
        Row(3, 672, 112, True),
    ),
    (
        Row(5, 672, 160, True),
        Row(5, 960, 160, False),
        Row(5, 960, 160, True),
        Row(5, 960, 160, False),
        Row(5, 960, 160, True),
    ),
)
STEM_CHANNELS, NECK_CHANNELS = 16, 960
VECTOR_WIDTH = 1280
"""Of every member: `width` leaves it alone."""


class HardSqueezeExcite(SqueezeExcite):
    """Squeeze-and-excitation with the gate clip(x / 6 + 1 / 2, 0, 1) for the sigmoid."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> [N, C, H, W]; the mean is summed in float32 whatever x's dtype."""
        mean = spatial_mean(x)  # [N, C, 1, 1]
        return x * F.hardsigmoid(self.excite(torch.relu(self.squeeze(mean))))


class GhostBottleneck(nn.Module):
    """[N, in_channels, H, W] -> [N, row.channels, ceil(H / stride), ceil(W / stride)].

    squeezed: inner width of the gate; None has no gate.
    """

    def __init__(
        self, in_channels: int, row: Row, *, stride: int = 1, squeezed: int | None = None
    ) -> None:
        super().__init__()
        kernel, expanded, channels, _ = row
        parts = OrderedDict[str, nn.Module](expand=GhostModule(in_channels, expanded, act=relu()))
        if stride > 1:
            parts["spatial"] = ConvNorm(
                expanded, expanded, kernel=kernel, stride=stride, groups=expanded
            )
        if squeezed is not None:
            parts["gate"] = HardSqueezeExcite(expanded, squeezed)
        parts["project"] = GhostModule(expanded, channels)
        self.branch = nn.Sequential(parts)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                OrderedDict(
                    spatial=ConvNorm(
                        in_channels, in_channels, kernel=kernel, stride=stride, groups=in_channels
                    ),
                    project=ConvNorm(in_channels, channels),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        branch = self.branch(x)
        branch += self.shortcut(x)
        return branch


class Neck(nn.Module):
    """[N, in_channels, H, W] -> [N, width]: widens, averages, and widens the mean once more."""

    def __init__(self, in_channels: int, channels: int, *, width: int) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, channels, act=relu())
        self.project = nn.Conv2d(channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, width]."""
        mean = self.conv(x).mean((2, 3), keepdim=True)  # [N, channels, 1, 1]
        return torch.relu(self.project(mean)).flatten(1)  # [N, width]


class GhostNet(StagedNet):
    """A stem of stride 2, four stages that halve the size, and a neck.

    stages:        the rows of each stage.
    neck_channels: of the map that the neck averages.
    squeeze:       inner width of the gates as a share of a bottleneck's; None has no gates.
    """

    def __init__(
        self,
        in_channels: int,
        first: Row,
        stages: Sequence[Sequence[Row]],
        *,
        stem_channels: int,
        neck_channels: int,
        squeeze: float | None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = nn.Sequential(
            OrderedDict[str, nn.Module](
                conv=ConvNorm(in_channels, stem_channels, kernel=3, stride=2, act=relu()),
                bottleneck=GhostBottleneck(stem_channels, first),
            )
        )
        self.stages = nn.ModuleList()
        maps: list[MapSpec] = []
        given, reduction = first.channels, 2
        for number, rows in enumerate(stages, 1):
            stage = nn.Sequential()
            for place, row in enumerate(rows):
                squeezed = rounded(row.expanded * squeeze) if squeeze and row.gated else None
                stride = 1 if place else 2
                stage.append(GhostBottleneck(given, row, stride=stride, squeezed=squeezed))
                given = row.channels
            reduction *= 2
            self.stages.append(stage)
            maps.append(MapSpec(f"stage{number}", given, reduction))
        self.neck = Neck(given, neck_channels, width=VECTOR_WIDTH)
        self.maps = tuple(maps)
        self.width = VECTOR_WIDTH

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns the stem, the stages and the neck."""
        return (*super().levels(), self.neck)

    def pool(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> what the neck makes of it, [N, width]."""
        return self.neck(x)


def rounded(channels: float) -> int:
    """Returns the nearest multiple of 4, or the next one where that lost more than a tenth."""
    nearest = round_channels(channels, 4)
    return nearest if nearest >= 0.9 * channels else nearest + 4


@dataclass(frozen=True, kw_only=True)
class GhostNetSpec:
    """A GhostNet as a value.

    squeeze: inner width of the gates as a share of a bottleneck's, in (0, 1]; None has no gates.
    width:   multiplies every number of channels but the vector's; they become multiples of 4.
    depth:   multiplies the bottlenecks of each stage (to whole ones, halves up, at least one); a
             stage leaves out its last ones, or repeats the very last.
    """

    squeeze: float | None = 0.25
    width: float = 1.0
    depth: float = 1.0

    def __post_init__(self) -> None:
        require_factor("width", self.width)
        require_factor("depth", self.depth)
        require_share("squeeze", self.squeeze)

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        net = GhostNet(
            in_channels,
            self._scaled(FIRST),
            [self._stage(rows) for rows in STAGES],
            stem_channels=rounded(STEM_CHANNELS * self.width),
            neck_channels=rounded(NECK_CHANNELS * self.width),
            squeeze=self.squeeze,
        )
        initialise(net, zero_init_last=False)
        return net

    def _stage(self, rows: Sequence[Row]) -> list[Row]:
        count = scaled_depth(len(rows), self.depth)
        kept = [*rows, *[rows[-1]] * (count - len(rows))][:count]
        return [self._scaled(row) for row in kept]

    def _scaled(self, row: Row) -> Row:
        return row._replace(
            expanded=rounded(row.expanded * self.width),
            channels=rounded(row.channels * self.width),
        )


NAMED: Mapping[str, GhostNetSpec] = {
    "ghostnet_050": GhostNetSpec(width=0.5),
    "ghostnet_100": GhostNetSpec(),
    "ghostnet_110": GhostNetSpec(width=1.1),
    "ghostnet_130": GhostNetSpec(width=1.3),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
