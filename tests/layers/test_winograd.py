"""By fewer products a convolution gives the same."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.layers import winograd
from vertebra.layers.winograd import convolve, tiles_of, transform


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("size", [(4, 4), (3, 3), (8, 5), (7, 14), (6, 6)], ids=str)
@pytest.mark.parametrize("padding", [(1, 1), (0, 0), (2, 0), (1, 3)], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_answers_are_those_of_a_convolution(
    size: tuple[int, int], padding: tuple[int, int], groups: int
):
    images, weight, bias = draw(3, 4, *size), draw(6, 4 // groups, 3, 3, seed=2), draw(6, seed=3)
    wanted = F.conv2d(images, weight, bias, padding=padding, groups=groups)
    kernels = transform(weight, groups=groups)
    found = convolve(images, kernels, bias, padding)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    assert found.is_contiguous(memory_format=torch.channels_last)
    by_pixel = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(convolve(by_pixel, kernels, bias, padding), found)


@pytest.mark.parametrize("relu", [False, True])
def test_a_shortcut_and_a_relu_come_with_it(relu: bool):
    images, weight, bias = draw(2, 4, 9, 6), draw(5, 4, 3, 3, seed=2), draw(5, seed=3)
    shortcut = draw(2, 5, 9, 6, seed=4)
    given = shortcut.clone()
    wanted = F.conv2d(images, weight, bias, padding=1) + shortcut
    found = convolve(images, transform(weight), bias, (1, 1), shortcut, relu)
    assert bool((wanted < -0.1).any())
    torch.testing.assert_close(found, wanted.relu() if relu else wanted, rtol=0, atol=1e-12)
    assert torch.equal(shortcut, given)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_how_many_images_go_at_once_makes_no_difference(
    at_once: int, monkeypatch: pytest.MonkeyPatch
):
    images, kernels, bias = draw(5, 3, 7, 7), transform(draw(2, 3, 3, 3, seed=2)), draw(2, seed=3)
    wanted = convolve(images, kernels, bias)
    monkeypatch.setattr(winograd, "images_at_once", lambda count, tiles: at_once)
    torch.testing.assert_close(convolve(images, kernels, bias), wanted, rtol=0, atol=1e-12)


def test_rounding_stays_below_a_hundred_thousandth_of_the_largest():
    images = draw(2, 256, 14, 14, dtype=torch.float32).relu()
    weight = draw(256, 256, 3, 3, seed=2, dtype=torch.float32)
    exact = F.conv2d(images.double(), weight.double(), padding=1)
    found = convolve(images, transform(weight), torch.zeros(256))
    assert float((found - exact).abs().max() / exact.abs().max()) < 1e-5


def test_tiles_are_counted_where_they_stand_out():
    assert [tiles_of(*size) for size in ((4, 4), (5, 4), (14, 7), (1, 1))] == [1, 2, 8, 1]
