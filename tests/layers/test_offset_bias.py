import copy

import pytest
import torch
from torch import Tensor, nn

from vertebra.layers.offset_bias import LaidOutBias, OffsetBias

GRIDS = [(1, 1), (4, 4), (3, 4), (2, 3), (5, 1), (4, 6), (7, 5)]


def drawn(side: int = 4, stride: int = 1) -> OffsetBias:
    bias = OffsetBias(3, side, stride=stride)
    nn.init.normal_(bias.table)
    return bias


def one_by_one(bias: OffsetBias, height: int, width: int) -> Tensor:
    """Returns the biases looked up for each query and key on its own."""
    table = bias.table.unflatten(1, (bias.side, bias.side))
    rows = []
    for row in range(0, height, bias.stride):
        for column in range(0, width, bias.stride):
            entries = [
                table[:, min(abs(row - y), bias.side - 1), min(abs(column - x), bias.side - 1)]
                for y in range(height)
                for x in range(width)
            ]
            rows.append(torch.stack(entries, 1))
    return torch.stack(rows, 1)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_query_and_key_get_the_entry_of_their_offset(grid, stride):
    bias = drawn(stride=stride)
    assert torch.equal(bias(*grid), one_by_one(bias, *grid))


def test_the_gradient_of_an_entry_counts_its_pairs():
    bias = OffsetBias(2, 3)
    bias(3, 3).sum().backward()
    pairs = torch.tensor([3.0, 4.0, 2.0])  # along one axis of 3: at offset 0, 1 and 2
    counts = torch.outer(pairs, pairs).flatten()
    torch.testing.assert_close(bias.table.grad, counts.expand(2, -1))


@pytest.mark.parametrize("axis", [1, 2])
def test_a_flip_of_the_grid_changes_nothing(axis):
    biases = drawn()(4, 4).unflatten(1, (4, 4)).unflatten(3, (4, 4))
    assert torch.equal(biases, biases.flip(axis, axis + 2))
    assert not torch.equal(biases, biases.flip(axis))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("stride", [1, 2])
def test_laid_out_biases_are_the_same_on_any_grid(grid, stride):
    bias = drawn(stride=stride)
    assert torch.equal(bias.folded()(*grid), bias(*grid))


def test_laid_out_biases_are_kept_apart_and_can_be_copied():
    bias = drawn()
    folded = copy.deepcopy(bias.folded())
    assert isinstance(folded, LaidOutBias)
    assert folded(4, 4) is folded.laid_out
    assert not folded.laid_out.requires_grad
    assert sum(each.numel() for each in folded.parameters()) == bias.table.numel()


def test_loaded_entries_count_at_once_in_evaluation():
    bias, other = drawn().eval(), drawn()
    bias(4, 4)
    bias.load_state_dict(other.state_dict())
    assert torch.equal(bias(4, 4), other(4, 4))
