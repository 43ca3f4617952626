"""A product of patches is a convolution, and so are its gradients."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.layers.convolve_as_usual import convolve_as_usual
from vertebra.layers.patches import Window, convolve, gradient_of_weights, patches

WINDOWS = [
    Window((1, 1), (1, 1), (0, 0)),
    Window((1, 1), (2, 1), (0, 0)),
    Window((1, 1), (2, 2), (1, 0)),
    Window((3, 3), (1, 1), (1, 1)),
    Window((3, 3), (2, 2), (1, 1)),
    Window((3, 2), (1, 3), (0, 1)),
    Window((5, 5), (1, 2), (2, 2)),
    Window((2, 2), (3, 3), (0, 0)),
    Window((3, 3), (4, 4), (0, 0)),
    Window((6, 6), (2, 2), (2, 2)),
    Window((9, 9), (1, 1), (3, 3)),
]


def draw(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", [(6, 5), (7, 8), (3, 3)], ids=str)
def test_answers_and_gradients_are_those_of_a_convolution(window: Window, size: tuple[int, int]):
    images = draw(2, 3, *size).requires_grad_()
    weight, bias = (draw(4, 3, *window.size, seed=2), draw(4, seed=3))
    given = [images, weight.requires_grad_(), bias.requires_grad_()]
    wanted = F.conv2d(*given, window.stride, window.padding)
    product = convolve(images.permute(0, 2, 3, 1), weight, bias, window).permute(0, 3, 1, 2)
    gradients = torch.autograd.grad(wanted.sin().sum(), given)
    for found in (product, convolve_as_usual(*given, window, gradient_of_weights)):
        torch.testing.assert_close(found, wanted)
        assert found.shape[2:] == window.positions(*size)
        torch.testing.assert_close(torch.autograd.grad(found.sin().sum(), given), gradients)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_only_what_is_wanted_is_passed_back(window: Window):
    for wanted in range(3):
        given = [draw(2, 3, 6, 5), draw(4, 3, *window.size), draw(4)]
        given[wanted].requires_grad_()
        convolve_as_usual(*given, window, gradient_of_weights).sum().backward()
        assert [each.grad is not None for each in given] == [place == wanted for place in range(3)]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_the_gradient_of_patches_is_that_of_finite_differences(window: Window):
    pixels = draw(1, 4, 5, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: patches(x, window), pixels)


def test_gradients_in_bf16_are_summed_in_fp32():
    window = Window((3, 3), (1, 1), (1, 1))
    pixels = torch.zeros(1, 3, 3, 1, dtype=torch.bfloat16, requires_grad=True)
    read = patches(pixels, window)
    parts = torch.full_like(read, 1 / 256)
    parts[0, 0, 0, 8] = 1  # what the first position reads of the pixel in the middle
    read.backward(parts)
    assert pixels.grad is not None
    assert pixels.grad[0, 1, 1, 0] == torch.tensor(1 + 8 / 256).bfloat16()
