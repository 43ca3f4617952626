"""What MixSKD adds to a network while it trains: branches, a self-teacher and discriminators.

Source: MixSKD: Self-Knowledge Distillation from Mixup for Image Recognition (2022) and the code of
its authors.
Differs: a branch is built from what the backbone says of its maps, a few bottlenecks for each map
on the way, where the code repeats the backbone's own stages; so it suits any backbone, for less.
Discriminators are parts of the method, so that they learn and are saved, say one logit rather than
two, and what flows back from them changes its sign: there they are left as they were drawn, and the
network helps them.

    maps[0] --branch--> [N, C, h, w] --+--mean, linear--> logits
    maps[1] --branch--> [N, C, h, w] --+--mean, linear--> logits
    maps[2] ----------> [N, C, h, w] --+          the backbone's vector, the model's head --> logits
                                       |
                                       +--joined, 1x1, mean, linear--> the self-teacher's logits
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import MapSpec
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.linear_head import LinearHead
from vertebra.models.residual_blocks import Bottleneck, Branch, relu, strided_shortcut
from vertebra.models.shell import initialise

DISCRIMINATOR_WIDTH = 128


@dataclass(frozen=True, kw_only=True)
class BranchSpec:
    """Describes the branch from an early map to the last one, by its bottlenecks.

    units: so many for each map on the way, or more where the map shrinks more often.
    inner: width between their 1x1 convolutions as a share of what they give, in (0, 1].
    """

    units: int = 1
    inner: float = 0.25

    def __post_init__(self) -> None:
        if self.units < 1:
            raise RecipeError(f"units={self.units}; give at least 1")
        if not 0 < self.inner <= 1:
            raise RecipeError(f"inner={self.inner}; give a share above 0, at most 1")

    def strides(self, ratio: float) -> list[int]:
        """Returns the stride of each unit where a map is `ratio`, at least 1, times smaller than
        the one before."""
        halvings = int(math.log2(ratio))
        return [2] * halvings + [1] * (self.units - halvings)

    def unit(self, in_channels: int, channels: int, *, stride: int) -> nn.Module:
        """Returns a bottleneck: [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ...]."""
        inner = max(1, round(channels * self.inner))
        return Bottleneck(
            ConvNorm(in_channels, inner, act=relu()),
            ConvNorm(inner, inner, kernel=3, stride=stride, act=relu()),
            ConvNorm(inner, channels),
            shortcut=strided_shortcut(in_channels, channels, stride=stride),
            branch=Branch(nn.Identity(), nn.Identity()),
        )


class MapBranch(nn.Module):
    """Brings an early map to the channels and the size of the last one.

    maps: from that one to the last.
    """

    def __init__(self, maps: Sequence[MapSpec], spec: BranchSpec) -> None:
        super().__init__()
        self.units = nn.Sequential()
        for here, there in pairwise(maps):
            channels = here.channels
            for stride in spec.strides(there.stride / here.stride):
                self.units.append(spec.unit(channels, there.channels, stride=stride))
                channels = there.channels
        initialise(self, zero_init_last=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """x: [N, C_i, H_i, W_i] -> [N, C, *size]; cells are averaged where halving cannot do it."""
        x = self.units(x)
        return x if tuple(x.shape[2:]) == size else F.adaptive_avg_pool2d(x, size)


class PooledHead(nn.Module):
    """Map [N, channels, H, W] -> logits [N, classes] of its mean."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = LinearHead(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, channels, H, W] -> logits [N, classes]."""
        return self.linear(x.mean((2, 3)))


class SelfTeacher(nn.Module):
    """Says what `count` maps of the same shape say together; nothing stands between its layers."""

    def __init__(self, channels: int, count: int, classes: int) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(count * channels, channels, 1, bias=False)
        self.head = PooledHead(channels, classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """maps: [N, channels, H, W] each -> logits [N, classes]."""
        return self.head(self.fuse(torch.cat([*maps], 1)))


class Discriminator(nn.Module):
    """Tells the mixture of two images' maps from the map of their mixture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Linear(channels, DISCRIMINATOR_WIDTH)
        self.outer = nn.Linear(DISCRIMINATOR_WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, channels, H, W] -> logits [N]; what flows back to x changes its sign."""
        pooled = reversed_gradient(x.mean((2, 3)))
        return self.outer(F.relu(self.inner(pooled))).squeeze(1)


def reversed_gradient(x: Tensor) -> Tensor:
    """Returns x, exactly; the gradient that flows back through it changes its sign.

    Source: Unsupervised Domain Adaptation by Backpropagation (2015), section 3.2.
    """
    return 2 * x.detach() - x
