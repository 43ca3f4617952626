"""Selective kernels: convolutions of several reaches, weighted channel by channel by all they show.

Source: Selective Kernel Networks (2019), section 3.1, equations 1 to 6.

x [N, C, H, W] --3x3 of dilation m, norm, relu--> U_m [N, C, H, W]                   for M dilations
s = mean over H, W of the sum of the U_m                             [N, C]
a = softmax over m of A relu(norm(W s))                              [N, M, C]
y = sum over m of a_m * U_m                                          [N, C, H, W]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vertebra.errors import RecipeError
from vertebra.layers.branch_attention import Summary, blend
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.spatial_mean import spatial_mean


class SelectiveKernel(nn.Module):
    """Branches that see the same map, and a choice between them for each channel.

    branches: each [N, channels, H, W] -> maps of one and the same shape with `channels` channels.
    squeezed: width of the summary (d).
    """

    def __init__(self, branches: Sequence[nn.Module], channels: int, *, squeezed: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.squeeze = Summary(channels, squeezed)
        self.select = nn.Conv2d(squeezed, channels * len(branches), 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> what the branches make of its shape."""
        maps = [branch(x) for branch in self.branches]
        weights = self.attention(maps).to(maps[0].dtype)  # autocast leaves a softmax in float32
        return blend(maps, weights.unbind(1))

    def attention(self, maps: Sequence[Tensor]) -> Tensor:
        """maps: M of [N, C, H, W] -> their weights [N, M, C, 1, 1], for each channel one a map."""
        means = torch.stack([spatial_mean(each) for each in maps])  # [M, N, C, 1, 1]
        logits = self.select(self.squeeze(means.sum(0)))  # [N, M * C, 1, 1]
        return logits.unflatten(1, (len(maps), -1)).softmax(1)


@dataclass(frozen=True, kw_only=True)
class SelectiveKernelSpec:
    """Selective kernels in the place of a bottleneck's 3x3 convolution.

    dilations: of each branch's 3x3 convolution; 2 stands for the paper's 5x5.
    reduction: the summary has 1 / reduction of the channels (r) ...
    least:     ... but at least so many (L).
    """

    dilations: tuple[int, ...] = (1, 2)
    reduction: int = 16
    least: int = 32

    def __post_init__(self) -> None:
        if len(self.dilations) < 2 or min(self.dilations) < 1:
            raise RecipeError(
                f"dilations={self.dilations}; give two or more whole numbers, each at least 1"
            )
        if min(self.reduction, self.least) < 1:
            raise RecipeError(
                f"reduction={self.reduction}, least={self.least}; "
                "give whole numbers, each at least 1"
            )

    @property
    def group_multiple(self) -> int:
        """What the channels of each group must be a multiple of: anything will do."""
        return 1

    def build(
        self, channels: int, *, stride: int, groups: int, act: Callable[[], nn.Module]
    ) -> nn.Module:
        """Returns [N, channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        branches = [
            ConvNorm(
                channels,
                channels,
                kernel=3,
                stride=stride,
                groups=groups,
                dilation=dilation,
                act=act(),
            )
            for dilation in self.dilations
        ]
        squeezed = max(channels // self.reduction, self.least)
        return SelectiveKernel(branches, channels, squeezed=squeezed)
