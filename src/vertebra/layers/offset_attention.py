"""Attention between tokens on a grid, biased by how far they stand apart; it can halve the grid.

Source: LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference (2021), section 4.2.

Sizes: N images, grids of h x w tokens, C channels; A heads, Q queries, T keys, D channels of a key
(and of a query), V channels of a value.
"""

import torch
from torch import Tensor, nn

from vertebra.layers.linear_norm import LinearNorm
from vertebra.layers.offset_bias import OffsetBias

VALUE_RATIO, HALVING_VALUE_RATIO = 2, 4
"""V / D where the grid keeps its size, and where it halves."""


def attend(q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor) -> Tensor:
    """q: [N, A, Q, D], k: [N, A, T, D], v: [N, A, T, V], bias: [A, Q, T] -> [N, Q, A * V].

    Spelt out, with few passes over the logits: on a CPU, torch's fused attention wants values as
    wide as keys, and what it falls back to makes more passes.
    """
    logits = torch.add(bias, q @ k.mT, alpha=q.shape[-1] ** -0.5)  # [N, A, Q, T]
    mixed = logits.softmax(-1) @ v  # [N, A, Q, V]
    return mixed.transpose(1, 2).flatten(2)  # [N, Q, A * V]


def by_head(tokens: Tensor, heads: int) -> Tensor:
    """tokens: [N, T, A * C] -> [N, A, T, C], one head after the other, as products want them."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2).contiguous()


class Attention(nn.Module):
    """[N, h, w, C] -> [N, h, w, C]: all tokens attend to all; starts at zero.

    side: of the square grid whose offsets the bias knows.
    """

    def __init__(self, channels: int, heads: int, *, key_width: int, side: int) -> None:
        super().__init__()
        value_width = VALUE_RATIO * key_width
        self.heads = heads
        self.widths = (key_width, key_width, value_width)
        self.qkv = LinearNorm(channels, heads * sum(self.widths))
        self.bias = OffsetBias(heads, side)
        self.act = hardswish()
        self.project = LinearNorm(heads * value_width, channels, zero_init=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, h, w, C] -> [N, h, w, C]."""
        height, width = x.shape[1:3]
        qkv = by_head(self.qkv(x).flatten(1, 2), self.heads)  # [N, A, T, 2 D + V]
        q, k, v = qkv.split(self.widths, -1)
        mixed = attend(q, k, v, bias=self.bias(height, width))
        return self.project(self.act(mixed)).view(x.shape)


class HalvingAttention(nn.Module):
    """[N, h, w, C] -> [N, ceil(h / 2), ceil(w / 2), channels]: every second token asks all."""

    def __init__(self, in_channels: int, channels: int, *, key_width: int, side: int) -> None:
        super().__init__()
        value_width = HALVING_VALUE_RATIO * key_width
        self.heads = max(1, in_channels // key_width)
        self.widths = (key_width, value_width)
        self.query = LinearNorm(in_channels, self.heads * key_width)
        self.key_value = LinearNorm(in_channels, self.heads * sum(self.widths))
        self.bias = OffsetBias(self.heads, side, stride=2)
        self.act = hardswish()
        self.project = LinearNorm(self.heads * value_width, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, h, w, C] -> [N, ceil(h / 2), ceil(w / 2), channels]."""
        height, width = x.shape[1:3]
        halved = x[:, ::2, ::2]
        q = by_head(self.query(halved).flatten(1, 2), self.heads)  # [N, A, Q, D]
        key_value = by_head(self.key_value(x).flatten(1, 2), self.heads)
        k, v = key_value.split(self.widths, -1)  # [N, A, T, D], [N, A, T, V]
        mixed = attend(q, k, v, bias=self.bias(height, width))
        return self.project(self.act(mixed)).view(*halved.shape[:3], -1)


def hardswish() -> nn.Module:
    """Returns the activation that writes over what it reads."""
    return nn.Hardswish(inplace=True)
