"""Tiles of a map: which are chosen, and that what goes back is the transpose of what goes there."""

import pytest
import torch
from torch import Tensor

from vertebra.layers.sparse import multiply_twice
from vertebra.layers.tiling import Pair, Tiling


def draw(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def to_points(pair: Pair, maps: Tensor, tiling: Tiling) -> Tensor:
    """maps: [N, H, W, C] -> [N * tiles, points, C]."""
    channels = maps.shape[3]
    found = multiply_twice(*pair, maps.flatten(0, 1).flatten(1), channels, (1, 1))
    return found.view(-1, tiling.side**2, channels)


def from_points(pair: Pair, points: Tensor, size: tuple[int, int]) -> Tensor:
    """points: [N * tiles, points, groups * K] -> [N, H, W, groups * K], in two groups."""
    parts = points.unflatten(2, (2, -1)).permute(1, 2, 0, 3)
    found = multiply_twice(*pair, parts.flatten(0, 2), parts.shape[3], (1, 1))
    return found.view(-1, *size, points.shape[2])


@pytest.mark.parametrize("step", [4, 5])
@pytest.mark.parametrize("padding", [(1, 1), (0, 2)], ids=str)
def test_gradients_go_back_the_way_that_numbers_came(step: int, padding: tuple[int, int]):
    tiling = Tiling(step, (9, 6), padding)
    pixels, answers = draw(3, 9, 6, 4), draw(3, *tiling.answers, 4, seed=2)
    points = draw(3 * tiling.in_all, tiling.side**2, 4, seed=3)
    there = to_points(tiling.from_pixels(3, points), pixels, tiling)
    back = from_points(tiling.to_pixels(3, 2, points), points, tiling.pixels)
    torch.testing.assert_close((there * points).sum(), (pixels * back).sum())
    there = from_points(tiling.to_answers(3, 2, points), points, tiling.answers)
    back = to_points(tiling.from_answers(3, points), answers, tiling)
    torch.testing.assert_close((there * answers).sum(), (points * back).sum())


def test_tiles_that_stand_out_are_counted():
    tilings = [Tiling(4, size, (1, 1)) for size in ((4, 4), (5, 4), (14, 7), (1, 1))]
    assert [each.in_all for each in tilings] == [1, 2, 8, 1]
    assert Tiling(5, (14, 7), (0, 1)).answers == (12, 7)
    assert Tiling(5, (14, 7), (0, 1)).tiles == (3, 2)


@pytest.mark.parametrize(
    ("side", "step"), [(56, 4), (28, 4), (14, 5), (7, 4), (20, 5), (10, 5), (5, 5), (8, 4), (4, 4)]
)
def test_the_step_with_the_fewest_products_is_taken(side: int, step: int):
    chosen = Tiling.of((side, side), (1, 1))
    numbers = {each: (each + 2) ** 2 * (-(-side // each)) ** 2 for each in (4, 5)}
    assert chosen.step == step == min(numbers, key=numbers.__getitem__)
