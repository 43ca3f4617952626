"""What residual networks are made of: stems, blocks, shortcuts and what acts on a branch.

Source: Deep Residual Learning for Image Recognition (2015), table 1 and figure 5.
Source: Bag of Tricks for Image Classification (2019), section 4 and figure 2 (deep stem, averaged
shortcut).
Differs: the averaged shortcut averages over the cells that exist where a map's side is odd.
"""

from collections import OrderedDict
from typing import Literal, NamedTuple

from torch import Tensor, nn

from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.conv_norm_3d import ConvNorm3d
from vertebra.models.shell import ResidualBlock


class Branch(NamedTuple):
    """What acts on a block's branch before it meets the shortcut.

    gate:             after the last norm.
    stochastic_depth: last of all.
    """

    gate: nn.Module
    stochastic_depth: nn.Module


class BasicBlock(ResidualBlock):
    """Two convolutions, `first` with its activation and `second` without; the first one strides."""

    def __init__(
        self, first: nn.Module, second: ConvNorm, *, shortcut: nn.Module, branch: Branch
    ) -> None:
        super().__init__()
        self.out_channels = second.conv.out_channels
        self.first = first
        self.second = second
        self.gate, self.stochastic_depth = branch
        self.shortcut = shortcut
        self.act = relu()

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        branch = self.stochastic_depth(self.gate(self.second(self.first(x))))
        branch += self.shortcut(x)
        return self.act(branch)

    def last_norm(self) -> nn.Module:
        """Returns the norm of the second convolution."""
        return self.second.norm


class Bottleneck(ResidualBlock):
    """A 1x1 that narrows, a part that looks around, and a 1x1 that widens.

    spatial: from `reduce`'s channels to `expand`'s, with whatever activation it has: a 3x3
             convolution, or what a paper puts in its place.
    """

    def __init__(
        self,
        reduce: nn.Module,
        spatial: nn.Module,
        expand: ConvNorm | ConvNorm3d,
        *,
        shortcut: nn.Module,
        branch: Branch,
    ) -> None:
        super().__init__()
        self.out_channels = expand.conv.out_channels
        self.reduce = reduce
        self.spatial = spatial
        self.expand = expand
        self.gate, self.stochastic_depth = branch
        self.shortcut = shortcut
        self.act = relu()

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        branch = self.expand(self.spatial(self.reduce(x)))
        branch = self.stochastic_depth(self.gate(branch))
        branch += self.shortcut(x)
        return self.act(branch)

    def last_norm(self) -> nn.Module:
        """Returns the norm of the last convolution."""
        return self.expand.norm


StemPool = Literal["max", "conv"]


def plain_stem(in_channels: int, channels: int) -> dict[str, nn.Module]:
    """Returns the stem of forms A and B: one 7x7 convolution of stride 2."""
    return {"whole": ConvNorm(in_channels, channels, kernel=7, stride=2, act=relu())}


def deep_stem(in_channels: int, channels: int) -> dict[str, nn.Module]:
    """Returns the stem of forms C and D: three 3x3 convolutions, two of them half as wide."""
    half = channels // 2
    return {
        "first": ConvNorm(in_channels, half, kernel=3, stride=2, act=relu()),
        "second": ConvNorm(half, half, kernel=3, act=relu()),
        "third": ConvNorm(half, channels, kernel=3, act=relu()),
    }


def stem_end(kind: StemPool | None, channels: int) -> dict[str, nn.Module]:
    """Returns what halves the stem's maps once more: a max pool, a convolution, or nothing."""
    if kind == "max":
        return {"pool": nn.MaxPool2d(3, stride=2, padding=1)}
    if kind == "conv":
        return {"pool": ConvNorm(channels, channels, kernel=3, stride=2, act=relu())}
    return {}


def strided_shortcut(in_channels: int, channels: int, *, stride: int) -> nn.Module:
    """Returns the shortcut of forms A, B and C: a 1x1 convolution, or nothing where none is due."""
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return ConvNorm(in_channels, channels, stride=stride)


def averaged_shortcut(in_channels: int, channels: int, *, stride: int) -> nn.Module:
    """Returns the shortcut of form D: an average pool if it strides, then a 1x1 convolution.

    Or nothing where none is due.
    """
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(
        OrderedDict(
            pool=pool if stride > 1 else nn.Identity(), project=ConvNorm(in_channels, channels)
        )
    )


def relu() -> nn.Module:
    """Returns the activation that writes over what it reads."""
    return nn.ReLU(inplace=True)
