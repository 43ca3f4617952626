"""The shell that residual networks share: a stem, four stages of blocks, a pooled vector.

Source: Deep Residual Learning for Image Recognition (2015), section 3.3 and table 1.

images --stem--> stage1 --> stage2 --> stage3 --> stage4 --mean--> vector
                   |          |          |          |
                 maps[0]    maps[1]    maps[2]    maps[3]     each half the size of the one before
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn

from vertebra.contracts import Backbone, Encoding, MapSpec


class Place(NamedTuple):
    """Where a block stands in the network.

    channels: inner width of its stage; what the block gives is its own affair (`out_channels`).
    stage:    0 to 3.
    fraction: 0 for the network's first block, 1 for its last.
    position: in its stage, from 0; `is_last` there.
    """

    in_channels: int
    channels: int
    stride: int
    stage: int
    fraction: float
    position: int
    is_last: bool


class ResidualBlock(nn.Module, ABC):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""

    out_channels: int

    @abstractmethod
    def last_norm(self) -> nn.Module:
        """Returns the norm that ends the branch; at zero, the block is its shortcut."""


BlockFactory: TypeAlias = Callable[[Place], ResidualBlock]


class Stem(nn.Sequential):
    """Named parts that run before the first stage, and what they do to channels and size."""

    def __init__(self, parts: Mapping[str, nn.Module], *, channels: int, stride: int) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.channels = channels
        self.stride = stride


class StagedNet(Backbone):
    """A stem and stages, each of which gives a map; `pool` makes the vector of the last one."""

    stem: nn.Module
    stages: nn.ModuleList

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns the stem and the stages."""
        return (self.stem, *self.stages)

    def forward(self, images: Tensor) -> Encoding:
        """images: [N, in_channels, H, W] -> the map of each stage, and the last one pooled."""
        x = self.stem(images)
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return Encoding(tuple(maps), self.pool(x))

    def pool(self, x: Tensor) -> Tensor:
        """x: the last map [N, C, H, W] -> the vector [N, width]: its mean."""
        return x.mean((2, 3))


class ResidualNet(StagedNet):
    """A stem and stages of blocks; from the second stage on the first block halves the size.

    block:    makes the block that belongs at a place.
    blocks:   number of blocks in each stage.
    channels: inner width of each stage.
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
        given, reduction, done = stem.channels, stem.stride, 0
        for stage, (count, inner) in enumerate(zip(blocks, channels, strict=True)):
            stride = 2 if stage else 1
            row = nn.Sequential()
            for position in range(count):
                place = Place(
                    in_channels=given,
                    channels=inner,
                    stride=1 if position else stride,
                    stage=stage,
                    fraction=done / max(sum(blocks) - 1, 1),
                    position=position,
                    is_last=position == count - 1,
                )
                made = block(place)
                row.append(made)
                given, done = made.out_channels, done + 1
            reduction *= stride
            self.stages.append(row)
            maps.append(MapSpec(f"stage{stage + 1}", given, reduction))
        self.maps = tuple(maps)
        self.width = given


def initialise(net: nn.Module, *, zero_init_last: bool) -> None:
    """Draws every convolution (normal, fan-out, for ReLU), zeroes biases, resets norms.

    zero_init_last: every residual branch starts at zero; comes last, or the reset would undo it.
    A network on the meta device has nothing to draw and stays as it is.
    """
    if any(parameter.is_meta for parameter in net.parameters()):
        return
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d | nn.GroupNorm):
            module.reset_parameters()
    if zero_init_last:
        for module in net.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.last_norm().get_parameter("weight"))
