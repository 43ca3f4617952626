"""By fewer products a convolution gives the same."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.layers import tiling as tilings
from vertebra.layers.tiling import Tiling
from vertebra.layers.winograd import convolve, transform

exactly = partial(torch.testing.assert_close, rtol=0, atol=1e-12)


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("size", [(4, 4), (3, 3), (8, 5), (7, 14), (6, 6)], ids=str)
@pytest.mark.parametrize("padding", [(1, 1), (0, 0), (2, 0), (1, 3)], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("step", [4, 5])
def test_answers_are_those_of_a_convolution(
    size: tuple[int, int], padding: tuple[int, int], groups: int, step: int
):
    images, weight, bias = draw(3, 4, *size), draw(6, 4 // groups, 3, 3, seed=2), draw(6, seed=3)
    wanted = F.conv2d(images, weight, bias, padding=padding, groups=groups)
    weights = transform(weight, Tiling(step, size, padding), images=3, groups=groups)
    found = convolve(images, weights, bias)
    exactly(found, wanted)
    assert found.is_contiguous(memory_format=torch.channels_last)
    by_pixel = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(convolve(by_pixel, weights, bias), found)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("adds", [False, True])
def test_a_shortcut_and_a_relu_come_with_it(adds: bool, relu: bool):
    images, weight, bias = draw(2, 4, 9, 6), draw(5, 4, 3, 3, seed=2), draw(5, seed=3)
    shortcut = draw(2, 5, 9, 6, seed=4) if adds else None
    given = None if shortcut is None else shortcut.clone()
    wanted = F.conv2d(images, weight, bias, padding=1) + (shortcut if shortcut is not None else 0)
    weights = transform(weight, Tiling.of((9, 6), (1, 1)), images=2)
    found = convolve(images, weights, bias, shortcut, relu)
    assert bool((wanted < -0.1).any())
    exactly(found, wanted.relu() if relu else wanted)
    assert shortcut is None or (given is not None and torch.equal(shortcut, given))


@pytest.mark.parametrize("expected", [1, 3, 17, 40, 300])
@pytest.mark.parametrize("count", [1, 2, 40, 41])
@pytest.mark.parametrize("groups", [1, 2])
def test_another_number_of_images_than_expected_gives_the_same(
    expected: int, count: int, groups: int
):
    images, weight, bias = draw(count, 4, 12, 8), draw(6, 4 // groups, 3, 3, seed=2), draw(6)
    wanted = F.conv2d(images, weight, bias, padding=1, groups=groups)
    tiling = Tiling.of((12, 8), (1, 1))
    weights = transform(weight, tiling, images=expected, groups=groups)
    exactly(convolve(images, weights, bias), wanted)


def test_many_tiles_are_transformed_in_several_parts_of_about_the_same_size():
    weight = draw(2, 3, 3, 3)
    at_once = [
        transform(weight, Tiling(4, (28, 28), (1, 1)), images=images)[3][0]  # of 49 tiles each
        for images in (1, 5, 16, 17)
    ]
    assert at_once == [1, 5, 6, 6]


@pytest.mark.parametrize(("step", "bound"), [(4, 1e-5), (5, 2e-5)])
def test_rounding_stays_below_so_much_of_the_largest(step: int, bound: float):
    assert error(step) < bound


def test_other_points_round_more(monkeypatch: pytest.MonkeyPatch):
    found = {step: error(step) for step in (4, 5)}
    usual = {4: (0, 1, -1, 2, -2), 5: (0, 1, -1, 2, -2, 1 / 2)}
    monkeypatch.setattr(tilings, "_POINTS", usual)
    assert all(found[step] < 0.7 * error(step) for step in found)


def error(step: int) -> float:
    """Returns how far answers in fp32 are from the exact ones, in parts of the largest."""
    images = draw(2, 256, 20, 20, dtype=torch.float32).relu()
    weight = draw(256, 256, 3, 3, seed=2, dtype=torch.float32)
    exact = F.conv2d(images.double(), weight.double(), padding=1)
    weights = transform(weight, Tiling(step, (20, 20), (1, 1)), images=2)
    found = convolve(images, weights, torch.zeros(256))
    return float((found - exact).abs().max() / exact.abs().max())
