"""Gradients by fewer products are those of the convolution."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.layers.tiling import Tiling
from vertebra.layers.winograd_training import Transforms, convolve


def draw(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("size", [(4, 4), (8, 5), (7, 14)], ids=str)
@pytest.mark.parametrize("padding", [(1, 1), (2, 0)], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("step", [4, 5])
@pytest.mark.parametrize("expected", [5, 1, 40])
def test_gradients_are_those_of_a_convolution(
    size: tuple[int, int], padding: tuple[int, int], groups: int, step: int, expected: int
):
    images, weight, bias = draw(5, 4, *size), draw(6, 4 // groups, 3, 3, seed=2), draw(6, seed=3)
    transforms = Transforms.of(
        Tiling(step, size, padding), images=expected, groups=groups, like=weight
    )
    wanted = F.conv2d(images, weight, bias, padding=padding, groups=groups)
    found = convolve(images, weight, bias, transforms)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-11)
    above = draw(*wanted.shape, seed=4).detach()
    for one, other in zip(
        torch.autograd.grad(found, (images, weight, bias), above),
        torch.autograd.grad(wanted, (images, weight, bias), above),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (False, False)])
def test_only_the_gradients_that_are_asked_for_are_made(wanted: tuple[bool, bool]):
    images, weight, bias = draw(2, 4, 8, 8), draw(6, 4, 3, 3, seed=2), draw(6, seed=3)
    transforms = Transforms.of(Tiling.of((8, 8), (1, 1)), images=2, groups=1, like=weight)
    images.requires_grad_(wanted[0])
    weight.requires_grad_(wanted[1])
    convolve(images, weight, bias, transforms).square().sum().backward()
    assert [each.grad is not None for each in (images, weight, bias)] == [*wanted, True]


def test_rounding_of_gradients_stays_below_so_much_of_the_largest():
    images, weight = draw(8, 128, 16, 16), draw(128, 128, 3, 3, seed=2)
    above = draw(8, 128, 16, 16, seed=3).detach()
    exact = torch.autograd.grad(F.conv2d(images, weight, padding=1), (images, weight), above)
    single = images.detach().float().requires_grad_(), weight.detach().float().requires_grad_()
    transforms = Transforms.of(Tiling.of((16, 16), (1, 1)), images=8, groups=1, like=single[1])
    answers = convolve(*single, None, transforms)
    for one, other in zip(torch.autograd.grad(answers, single, above.float()), exact, strict=True):
        assert float((one - other).abs().max() / other.abs().max()) < 1e-5
