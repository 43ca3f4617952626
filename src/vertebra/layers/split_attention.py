"""Split attention: a convolution into splits, weighted channel by channel by what all of them show.

Source: ResNeSt: Split-Attention Networks (2020), section 3 and the released code.
Differs: the squeezed width goes up to a multiple of the cardinality where it is none; it is one in
every published network.

x [N, C, H, W] --3x3, K * R groups, norm, relu--> U [N, R * C, H, W]     channels in order (r, k, c)
s = mean over H, W of the sum of U's R splits     [N, C]                                   (k, c)
W2 relu(norm(W1 s + b1)) + b2, both in K groups   [N, C * R]                            (k, r, c)
a = softmax over r (sigmoid if R = 1), swapped    [N, R, C]                            (r, k, c)
y = sum over r of a_r * U_r                       [N, C, H, W]

R: radix, the number of splits. K: cardinality, the number of groups of the block.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from vertebra.errors import RecipeError
from vertebra.layers.branch_attention import Summary, blend
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.spatial_mean import spatial_mean


class SplitAttention(nn.Module):
    """[N, channels, H, W] -> [N, channels, H, W], with a 3x3 convolution inside.

    squeezed: width of the summary.
    groups:   the cardinality.
    act:      follows the convolution's norm.

    Raises:
        RecipeError: `channels` or `squeezed` does not split.
    """

    def __init__(
        self, channels: int, squeezed: int, *, radix: int, groups: int, act: nn.Module
    ) -> None:
        super().__init__()
        if channels % (radix * groups) or squeezed % groups:
            raise RecipeError(
                f"channels={channels}, squeezed={squeezed} with radix={radix}, groups={groups}; "
                f"give multiples of {radix * groups} and of {groups}"
            )
        self.radix = radix
        self.groups = groups
        self.splits = ConvNorm(channels, channels * radix, kernel=3, groups=groups * radix, act=act)
        self.squeeze = Summary(channels, squeezed, groups=groups, has_bias=True)
        self.excite = nn.Conv2d(squeezed, channels * radix, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> [N, C, H, W]."""
        splits = self.splits(x)  # [N, R * C, H, W]
        weights = self.attention(splits).to(splits.dtype)  # autocast leaves a softmax in float32
        return blend(splits.chunk(self.radix, dim=1), weights.unbind(1))

    def attention(self, splits: Tensor) -> Tensor:
        """splits: [N, R * C, H, W] -> their weights [N, R, C, 1, 1], for each channel one a split.

        Sums of means, not the mean of a sum: the splits are read once and nothing is written.
        """
        means = spatial_mean(splits).unflatten(1, (self.radix, -1))  # [N, R, C, 1, 1]
        logits = self.excite(self.squeeze(means.sum(1)))  # [N, K * R * C / K, 1, 1]
        logits = logits.unflatten(1, (self.groups, self.radix, -1))  # [N, K, R, C / K, 1, 1]
        weights = logits.softmax(2) if self.radix > 1 else logits.sigmoid()
        return weights.transpose(1, 2).flatten(2, 3)


@dataclass(frozen=True, kw_only=True)
class SplitAttentionSpec:
    """Split attention in the place of a bottleneck's 3x3 convolution.

    radix:      number of splits of each group; 1 leaves a gate on the convolution.
    reduction:  the summary has 1 / reduction of the splits' channels ...
    least:      ... but at least so many.
    pool_first: where the block halves the map, a 3x3/2 average does it: before the convolution (the
                "fast" networks, at less cost) or after it.
    """

    radix: int = 2
    reduction: int = 4
    least: int = 32
    pool_first: bool = False

    def __post_init__(self) -> None:
        if min(self.radix, self.reduction, self.least) < 1:
            raise RecipeError(
                f"radix={self.radix}, reduction={self.reduction}, least={self.least}; "
                "give whole numbers, each at least 1"
            )

    @property
    def group_multiple(self) -> int:
        """What the channels of each group must be a multiple of."""
        return self.radix

    def build(
        self, channels: int, *, stride: int, groups: int, act: Callable[[], nn.Module]
    ) -> nn.Module:
        """Returns [N, channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        squeezed = max(channels * self.radix // self.reduction, self.least)
        attend = SplitAttention(
            channels, -(-squeezed // groups) * groups, radix=self.radix, groups=groups, act=act()
        )
        if stride == 1:
            return attend
        pool = nn.AvgPool2d(3, stride, padding=1)  # zeros beyond the border count, as published
        parts = {"pool": pool, "attend": attend}
        order = ("pool", "attend") if self.pool_first else ("attend", "pool")
        return nn.Sequential(OrderedDict((name, parts[name]) for name in order))
