"""What an Arch-Net is made of: 3x3 convolutions, a join in place of a sum, and the block around it.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors.

Convolutions take no more input channels than a limit allows:

    join of C channels               convolution of more than the limit
    a --+-- a1 b1 --3x3--+           x --+-- x1 --3x3--+
        |                concat          |             join
    b --+-- a2 b2 --3x3--+               +-- x2 --3x3--+
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.models.residual_blocks import relu


class ConcatConv(nn.Module):
    """Several maps [N, C, H, W] -> one [N, C, H, W], of which their sum is the simplest.

    terms: number of maps.
    limit: of the input channels of a convolution; where they are more, matching slices of all maps
           are joined apart from the others.
    """

    def __init__(self, terms: int, channels: int, *, has_relu: bool, limit: int) -> None:
        super().__init__()
        slices = _fewest_parts(channels, terms, limit)
        width = channels // slices
        self.terms = terms
        self.convs = nn.ModuleList(
            ConvNorm(terms * width, width, kernel=3, act=_act(has_relu)) for _ in range(slices)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """maps: each [N, C, H, W] -> [N, C, H, W]."""
        slices = zip(*(each.chunk(len(self.convs), 1) for each in maps), strict=True)
        made = [
            conv(torch.cat(matching, 1))  # [N, terms * C / slices, H, W]
            for conv, matching in zip(self.convs, slices, strict=True)
        ]
        return made[0] if len(made) == 1 else torch.cat(made, 1)


class WideConv(nn.Module):
    """[N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)], in two steps.

    Each part of the input is convolved by itself, and what comes out is joined.
    """

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, has_relu: bool, limit: int
    ) -> None:
        super().__init__()
        parts = _fewest_parts(in_channels, 1, limit)
        self.parts = nn.ModuleList(
            ConvNorm(in_channels // parts, channels, kernel=3, stride=stride) for _ in range(parts)
        )
        self.join = ConcatConv(parts, channels, has_relu=has_relu, limit=limit)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        pieces = x.chunk(len(self.parts), 1)
        return self.join([part(each) for part, each in zip(self.parts, pieces, strict=True)])


class ArchBlock(nn.Module):
    """A residual block whose branch and shortcut are joined, not added.

    units: the convolutions of the branch.
    """

    def __init__(
        self, units: Sequence[nn.Module], *, shortcut: nn.Module, join: ConcatConv
    ) -> None:
        super().__init__()
        self.units = nn.Sequential(*units)
        self.shortcut = shortcut
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        return self.joined(self.units(x), x)

    def joined(self, branch: Tensor, x: Tensor) -> Tensor:
        """branch: what the units give for the block's input x -> what the block gives."""
        return self.join((branch, self.shortcut(x)))


def conv3x3(
    in_channels: int, channels: int, *, stride: int = 1, has_relu: bool = True, limit: int
) -> ConvNorm | WideConv:
    """Returns a 3x3 convolution with its norm, in parts where it would exceed the limit."""
    if in_channels > limit:
        return WideConv(in_channels, channels, stride=stride, has_relu=has_relu, limit=limit)
    return ConvNorm(in_channels, channels, kernel=3, stride=stride, act=_act(has_relu))


def _act(has_relu: bool) -> nn.Module | None:
    return relu() if has_relu else None


def _fewest_parts(channels: int, terms: int, limit: int) -> int:
    """Returns the smallest divisor of `channels` that leaves at most `limit` of all terms a part.

    Raises:
        RecipeError: even single channels are too many.
    """
    for parts in range(1, channels + 1):
        if channels % parts == 0 and terms * channels // parts <= limit:
            return parts
    raise RecipeError(
        f"max_channels={limit} is too few to join {terms} maps of {channels} channels; "
        f"give more, usually 512"
    )
