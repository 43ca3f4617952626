"""What the networks between a ResNet and a ConvNeXt are made of: layouts, a block, a shell.

Source: A ConvNet for the 2020s (2022), sections 2.3 to 2.6, figures 3 and 4.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vertebra.contracts import Foldable
from vertebra.layers.conv_norm import fold
from vertebra.models.convnext import EPSILON
from vertebra.models.shell import BlockFactory, ResidualBlock, ResidualNet, Stem

Part = Literal["enter", "spatial", "leave", "norm", "act", "add"]
Layout = Literal["resnet", "spatial_first", "one_act", "one_norm"]

LAYOUTS: Mapping[Layout, tuple[Part, ...]] = {
    "resnet": (
        *("enter", "norm", "act"),
        *("spatial", "norm", "act"),
        *("leave", "norm", "add", "act"),
    ),
    "spatial_first": (
        *("spatial", "norm", "act"),
        *("enter", "norm", "act"),
        *("leave", "norm", "add", "act"),
    ),
    "one_act": ("spatial", "norm", "enter", "norm", "act", "leave", "norm", "add"),
    "one_norm": ("spatial", "norm", "enter", "act", "leave", "add"),
}
"""What a block does, in order: a 1x1 convolution enters the inner width, another one leaves it, the
spatial one looks around in the width that it finds; at "add" the shortcut comes in."""


class NormedConv(Foldable):
    """A convolution and the norm of what it gives; a batch norm takes the bias's place."""

    def __init__(self, conv: nn.Conv2d, norm: nn.Module) -> None:
        super().__init__()
        if isinstance(norm, nn.BatchNorm2d):
            conv.bias = None
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> what the convolution makes of it, normed."""
        return self.norm(self.conv(x))

    def folded(self) -> nn.Module:
        """Returns one convolution with a bias; of another norm than a batch norm, itself."""
        return fold(self, self.conv, self.norm)


class LayerScale(nn.Module):
    """[N, C, H, W] -> the same, each channel times a learned factor, which starts at 1e-6."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> the same."""
        return x * self.weight.view(-1, 1, 1)


class RungBlock(ResidualBlock):
    """x -> act(branch(y) + shortcut(y)), where y = before(x); most blocks do nothing before."""

    def __init__(
        self,
        branch: nn.Sequential,
        shortcut: nn.Module,
        *,
        before: nn.Module,
        stochastic_depth: nn.Module,
        act: nn.Module,
        out_channels: int,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.before = before
        self.branch = branch
        self.stochastic_depth = stochastic_depth
        self.shortcut = shortcut
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        x = self.before(x)
        branch = self.stochastic_depth(self.branch(x))
        branch += self.shortcut(x)
        return self.act(branch)

    def last_norm(self) -> nn.Module:
        """Returns the norm that ends the branch, or the layer scale in its place."""
        last = self.branch[-1]
        return last.norm if isinstance(last, NormedConv) else last


class NormedResidualNet(ResidualNet):
    """A residual network whose vector is the layer norm of the last map's mean."""

    def __init__(
        self,
        stem: Stem,
        block: BlockFactory,
        *,
        blocks: Sequence[int],
        channels: Sequence[int],
        in_channels: int,
    ) -> None:
        super().__init__(stem, block, blocks=blocks, channels=channels, in_channels=in_channels)
        self.norm = nn.LayerNorm(self.width, eps=EPSILON)

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns the stem, the stages and the norm."""
        return (*super().levels(), self.norm)

    def pool(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> the normed mean [N, C]."""
        return self.norm(super().pool(x))
