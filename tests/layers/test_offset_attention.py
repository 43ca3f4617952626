from collections.abc import Iterator

import pytest
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn

from vertebra.layers.offset_attention import Attention, HalvingAttention

SIDE = 3
BothKinds = Attention | HalvingAttention


def attentions(side: int = SIDE) -> list[BothKinds]:
    parts = (
        Attention(6, 2, key_width=3, side=side),
        HalvingAttention(6, 5, key_width=3, side=side),
    )
    return [randomise(part).eval() for part in parts]


def slowly(part: BothKinds, tokens: Tensor) -> Tensor:
    """Returns what `part` gives for one grid [h, w, C], a query after another."""
    height, width, _ = tokens.shape
    rows = [
        [asked(part, tokens, (y, x)) for x in range(0, width, part.bias.stride)]
        for y in range(0, height, part.bias.stride)
    ]
    return torch.stack([torch.stack(row) for row in rows])


def asked(part: BothKinds, tokens: Tensor, place: tuple[int, int]) -> Tensor:
    """Returns the token that comes of the query at `place`, a head and a key after another."""
    mixed: list[Tensor] = []
    for head in range(part.heads):
        q = query(part, tokens[place], head)
        weights: list[Tensor] = []
        values: list[Tensor] = []
        for key, offset in offsets(tokens, place):
            k, v = key_and_value(part, tokens[key], head)
            bias = part.bias.table[head, offset[0] * SIDE + offset[1]]
            weights.append((q @ k / len(q) ** 0.5 + bias).exp())
            values.append(v)
        mixed.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return part.project(nn.functional.hardswish(torch.cat(mixed))[None])[0]


def offsets(
    tokens: Tensor, place: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for y in range(tokens.shape[0]):
        for x in range(tokens.shape[1]):
            yield (y, x), (min(abs(place[0] - y), SIDE - 1), min(abs(place[1] - x), SIDE - 1))


def query(part: BothKinds, token: Tensor, head: int) -> Tensor:
    if isinstance(part, HalvingAttention):
        return part.query(token[None])[0].chunk(part.heads)[head]
    return part.qkv(token[None])[0].chunk(part.heads)[head].split(part.widths)[0]


def key_and_value(part: BothKinds, token: Tensor, head: int) -> tuple[Tensor, ...]:
    layer = part.key_value if isinstance(part, HalvingAttention) else part.qkv
    return layer(token[None])[0].chunk(part.heads)[head].split(part.widths)[-2:]


@pytest.mark.parametrize("grid", [(1, 1), (3, 3), (2, 3), (4, 5)])
def test_attention_is_what_plain_loops_give_on_any_grid(grid):
    for part in attentions():
        tokens = torch.randn(2, *grid, 6)
        with torch.no_grad():
            wanted = torch.stack([slowly(part, each) for each in tokens])
            torch.testing.assert_close(part(tokens), wanted)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_mirrored_grid_gives_mirrored_tokens(axis):
    """Offsets have no sign; an odd grid keeps the tokens that ask at their places."""
    for part in attentions(side=5):
        tokens = torch.randn(1, 5, 5, 6)
        torch.testing.assert_close(part(tokens.flip(axis)), part(tokens).flip(axis))


def test_without_biases_the_order_of_the_tokens_does_not_matter():
    part = attentions()[0]
    nn.init.zeros_(part.bias.table)
    tokens, order = torch.randn(1, 1, 9, 6), torch.randperm(9)
    torch.testing.assert_close(part(tokens[:, :, order]), part(tokens)[:, :, order])


def test_a_value_is_twice_as_wide_as_a_key_and_four_times_where_the_grid_halves():
    plain, halving = attentions()
    assert plain.project.linear.in_features == plain.heads * 2 * 3
    assert (halving.heads, halving.project.linear.in_features) == (2, halving.heads * 4 * 3)


def test_attention_with_a_shortcut_starts_at_zero():
    tokens = torch.randn(1, 3, 3, 6)
    assert not Attention(6, 2, key_width=3, side=SIDE)(tokens).any()
    assert HalvingAttention(6, 5, key_width=3, side=SIDE)(tokens).any()
