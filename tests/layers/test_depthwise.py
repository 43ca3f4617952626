"""A depthwise convolution by matrix products is torch's, and so are its gradients."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.layers.convolve_as_usual import convolve_as_usual
from vertebra.layers.depthwise import gradient_of_weights
from vertebra.layers.patches import Window

WINDOWS = [
    Window((5, 5), (1, 1), (2, 2)),
    Window((5, 5), (2, 2), (2, 2)),
    Window((3, 3), (2, 1), (0, 1)),
    Window((7, 7), (1, 1), (3, 3)),
    Window((7, 5), (1, 2), (3, 0)),
]

SIZES = [(8, 8), (7, 9), (7, 12), (12, 7)]
"""The first two are multiplied as a whole in bf16."""


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_answers_and_gradients_are_those_of_torch_in_fp32(
    window: Window, size: tuple[int, int], dtype: torch.dtype, most: float
):
    images = draw(3, 6, *size).to(dtype).contiguous(memory_format=torch.channels_last)
    given = [images, draw(6, 1, *window.size, seed=2).to(dtype), draw(6, seed=3).to(dtype)]
    ours = [each.clone().requires_grad_() for each in given]
    theirs = [each.float().requires_grad_() for each in given]
    found = convolve_as_usual(*ours, window, gradient_of_weights)
    wanted = F.conv2d(*theirs, window.stride, window.padding, groups=6)
    gradient = draw(*wanted.shape, seed=4).to(dtype)
    pairs = zip(
        (found, *torch.autograd.grad(found, ours, gradient)),
        (wanted, *torch.autograd.grad(wanted, theirs, gradient.float())),
        strict=True,
    )
    for one, other in pairs:
        assert one.dtype == dtype and one.shape == other.shape
        assert (one.float() - other).abs().max() <= most * other.abs().max()


def test_products_of_rows_are_summed_in_fp32():
    """Of as many ones as bf16 cannot count."""
    ones = torch.ones(3, 2, 20, 20, dtype=torch.bfloat16)
    taps = gradient_of_weights(ones, ones, Window((5, 5), (1, 1), (2, 2)))
    assert taps[0, 0, 2, 2] == 1200 and taps[0, 0, 0, 0] == torch.tensor(972.0).bfloat16()


def test_a_gradient_that_nobody_needs_is_not_made():
    images, weight = draw(2, 4, 8, 8), draw(4, 1, 5, 5).requires_grad_()
    found = convolve_as_usual(images, weight, None, WINDOWS[0], gradient_of_weights)
    found.sum().backward()
    assert images.grad is None and weight.grad is not None
