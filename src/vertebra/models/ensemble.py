"""Several independent networks in the place of one: the answer is the mean of theirs.

Source: Towards Better Accuracy-efficiency Trade-offs: Divide and Co-training (2022) (the mean
of the networks' logits, which it prefers to that of their probabilities).

            +--> member 1 --> vector 1 --> head 1 --+
    images -+                                       +--mean--> logits
            +--> member 2 --> vector 2 --> head 2 --+
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from vertebra.contracts import Backbone, Encoding, MapSpec
from vertebra.models.classifier import BackboneWithHead, build_head
from vertebra.models.networks import NetworkSpec
from vertebra.models.ranges import require_count


class MeanHead(nn.Module):
    """Vector [N, width] -> the mean [N, classes] of the logits of several heads.

    heads:  each has its own part of the vector, side by side.
    widths: of the parts.
    """

    def __init__(self, heads: Sequence[nn.Module], widths: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.widths = list(widths)

    def forward(self, vector: Tensor) -> Tensor:
        """vector: [N, width] -> logits [N, classes], in training and evaluation alike."""
        return self.each(vector).mean(0)

    def each(self, vector: Tensor) -> Tensor:
        """vector: [N, width] -> the logits [S, N, classes] of each of the S heads."""
        parts = zip(self.heads, vector.split(self.widths, 1), strict=True)
        return torch.stack([head(part) for head, part in parts])


class Ensemble(BackboneWithHead):
    """Networks of one kind that share nothing but the images; maps and vectors lie side by side.

    members: each made by itself, so that they start apart.
    """

    def __init__(self, members: Sequence[Backbone]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.in_channels = members[0].in_channels
        self.width = sum(each.width for each in members)
        self.maps = tuple(
            MapSpec(alike[0].name, sum(each.channels for each in alike), alike[0].stride)
            for alike in zip(*(each.maps for each in members), strict=True)
        )

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns for each level of a member the list of that level in all of them."""
        levels = [each.levels() for each in self._networks]
        return tuple(map(nn.ModuleList, zip(*levels, strict=True)))

    def forward(self, images: Tensor) -> Encoding:
        """images: [N, in_channels, H, W] -> the members' encodings, joined along the channels."""
        encodings: list[Encoding] = [member(images) for member in self.members]
        alike = zip(*(each.maps for each in encodings), strict=True)
        vector = torch.cat([each.vector for each in encodings], 1)
        return Encoding(tuple(torch.cat(maps, 1) for maps in alike), vector)

    def compare(self, views: Sequence[Tensor]) -> Tensor:
        """Returns the vector [N, width] where each member sees a version of its own.

        views: for each member the images [N, in_channels, H, W].
        """
        pairs = zip(self.members, views, strict=True)
        return torch.cat([member(images).vector for member, images in pairs], 1)

    def build_head(self, classes: int, *, dropout: float = 0.0) -> MeanHead:
        """Returns a fresh head: vector [N, width] -> logits [N, classes].

        dropout: in the head of each member.
        """
        heads = [build_head(each, classes, dropout=dropout) for each in self._networks]
        return MeanHead(heads, [each.width for each in self._networks])

    @property
    def _networks(self) -> list[Backbone]:
        return cast(list[Backbone], [*self.members])


@dataclass(frozen=True, kw_only=True)
class EnsembleSpec:
    """Several networks as a value.

    member:   each of them.
    networks: how many there are.
    """

    member: NetworkSpec
    networks: int = 2

    def __post_init__(self) -> None:
        require_count("networks", self.networks)

    def build(self, in_channels: int = 3) -> Ensemble:
        """Returns the networks, each freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        return Ensemble([self.member.build(in_channels) for _ in range(self.networks)])
