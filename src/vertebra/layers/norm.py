"""Group normalisation as a value: how many groups a layer of so many channels gets.

Source: Group Normalization (2018), equations 1, 6 and 7, and table 3 (groups, channels per group).
Differs: no layer gets one channel per group, which is instance normalisation and costs 4 points in
that table, nor a number of groups that does not divide its channels.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from vertebra.errors import RecipeError

CHANNELS_PER_GROUP = 16
"""The best of the paper's fixed numbers, and the rule where none is named."""


@dataclass(frozen=True, kw_only=True)
class GroupNormSpec:
    """A group norm for layers of any width; one of the two ways to choose the groups, or neither.

    groups:             of every layer; one that cannot have so many gets the largest divisor of
                        `groups` that leaves at least two channels in each.
    channels_per_group: of every layer, which gets the nearest number above 1 that divides its
                        channels; where neither is given, 16.
    eps:                is added to the variance, inside the root.
    """

    groups: int | None = None
    channels_per_group: int | None = None
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.groups is not None and self.channels_per_group is not None:
            raise RecipeError(
                f"groups={self.groups} and channels_per_group={self.channels_per_group}; give one"
            )
        if self.groups is not None and self.groups < 1:
            raise RecipeError(f"groups={self.groups}; give a whole number, at least 1")
        if self.channels_per_group is not None and self.channels_per_group < 2:
            raise RecipeError(
                f"channels_per_group={self.channels_per_group}; give at least 2: one alone is "
                "instance normalisation"
            )
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise RecipeError(f"eps={self.eps}; give a small number above 0")

    def __str__(self) -> str:
        if self.groups is not None:
            return f"group norm, {self.groups} groups"
        return f"group norm, {self.channels_per_group or CHANNELS_PER_GROUP} channels a group"

    def groups_of(self, channels: int) -> int:
        """Returns how many groups a layer gets: one if it has a single channel."""
        able = [n for n in range(1, channels // 2 + 1) if channels % n == 0] or [1]
        if self.groups is not None:
            wanted = self.groups
            return max(n for n in able if wanted % n == 0)
        wished = channels / (self.channels_per_group or CHANNELS_PER_GROUP)
        # nearest as a ratio: half as many channels are as far away as twice as many
        return min(able, key=lambda n: abs(math.log(n / wished)))

    def build(self, channels: int, *, has_affine: bool = True) -> nn.GroupNorm:
        """Returns the norm of a layer: [N, C, ...] -> the same; sums are in float32 or wider.

        has_affine: each channel has a scale, at first one, and a shift, at first zero.
        """
        return nn.GroupNorm(self.groups_of(channels), channels, eps=self.eps, affine=has_affine)


class GroupNormThen(nn.GroupNorm):
    """A group norm, then its children in order: some libraries keep an activation in the norm."""

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, C, ...] -> what the last child gives."""
        x = super().forward(input)
        for child in self.children():
            x = child(x)
        return x
