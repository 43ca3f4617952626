"""Convolutions that go another way in bf16 give what autocast gives, up to rounding."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.engine.convolutions_on_cpu import ConvolutionsOnCpu, is_wide
from vertebra.engine.execution import Execution

CPU = torch.device("cpu")


def draw(*shape: int) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    return drawn.contiguous(memory_format=torch.channels_last)


CONVOLUTIONS = [
    nn.Conv2d(8, 8, 5, groups=8, padding=2),
    nn.Conv2d(8, 16, 3, groups=8, stride=2, padding=1, bias=False),
    nn.Conv2d(8, 6, 1),
    nn.Conv2d(8, 6, 1, bias=False),
    nn.Conv2d(8, 6, 1, stride=2),
    nn.Conv2d(8, 6, 1, padding=1),
    nn.Conv2d(8, 6, 1, groups=2),
    nn.Conv2d(8, 6, 3, padding="same"),
    nn.Conv2d(1, 6, 3),
    nn.Conv2d(256, 6, 3, padding=1),
    nn.Conv2d(256, 6, (3, 1), stride=(2, 1), bias=False),
    nn.Conv2d(256, 6, 3, padding=2, dilation=2),
    nn.Conv2d(256, 8, 3, groups=2),
]


def pass_through(conv: nn.Conv2d, images: Tensor) -> tuple[Tensor, ...]:
    """Returns answer and gradients of images and weights."""
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    found = conv(images)
    gradients = torch.autograd.grad(found.float().sin().sum(), [images, conv.weight])
    return found, *gradients


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_answers_and_gradients_are_near_those_in_fp32(conv: nn.Conv2d, layout: torch.memory_format):
    images = draw(3, conv.in_channels, 9, 7).contiguous(memory_format=layout)
    wanted = pass_through(conv, images)
    with torch.autocast("cpu", torch.bfloat16):
        usual = pass_through(conv, images)
        with ConvolutionsOnCpu(torch.bfloat16):
            found = pass_through(conv, images)
    for exact, theirs, ours in zip(wanted, usual, found, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        error = (ours.float() - exact).abs().max() / exact.abs().max()
        assert error <= max(0.02, 2 * (theirs.float() - exact).abs().max() / exact.abs().max())


def test_gradients_of_depthwise_convolutions_are_computed_in_fp32():
    conv, images = CONVOLUTIONS[0], draw(3, 8, 9, 7).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), ConvolutionsOnCpu(torch.bfloat16):
        found = conv(images)
    (gradient,) = torch.autograd.grad(found.float().sum(), [conv.weight])
    exact = torch.nn.functional.conv2d(images.float(), conv.weight, conv.bias, padding=2, groups=8)
    (wanted,) = torch.autograd.grad(exact.sum(), [conv.weight])
    torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-4)


def test_a_run_in_bf16_on_a_cpu_goes_that_way_unless_it_is_compiled():
    conv, images = CONVOLUTIONS[2], draw(3, 8, 9, 7)
    names = {}
    for compiled in (False, True):
        with Execution(precision="bf16", compile=compiled).autocast(CPU):
            names[compiled] = conv(images).grad_fn.name()
    assert "Permute" in names[False] and "Convolution" in names[True]
    with Execution().autocast(CPU):
        assert conv(images).dtype == torch.float32


@pytest.mark.parametrize(
    ("conv", "side", "is_product"),
    [
        (nn.Conv2d(256, 8, 3, padding=1), 4, True),
        (nn.Conv2d(256, 8, 3, stride=2, padding=1), 8, True),
        (nn.Conv2d(256, 8, 3, padding=1), 5, False),  # too many positions
        (nn.Conv2d(128, 8, 3, padding=1), 4, False),  # too few channels
        (nn.Conv2d(256, 8, 3, padding="same"), 4, False),
        (nn.Conv2d(256, 8, 1), 8, True),
        (nn.Conv2d(256, 8, 1), 9, False),
        (nn.Conv2d(256, 8, 1, stride=2), 16, True),
        (nn.Conv2d(256, 8, 1, padding=1), 4, False),
    ],
)
def test_small_maps_of_many_channels_are_products_in_fp32_too(
    conv: nn.Conv2d, side: int, is_product: bool
):
    images = draw(3, conv.in_channels, side, side)
    wanted = pass_through(conv, images)
    with Execution().autocast(CPU, is_wide=True):
        found = pass_through(conv, images)
    assert ("Permute" in found[0].grad_fn.name()) == is_product
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    with Execution().autocast(
        CPU, is_wide=True
    ):  # channels of a pixel apart: oneDNN orders them anew anyway
        assert "Convolution" in conv(images.contiguous()).grad_fn.name()


def test_networks_without_such_convolutions_are_not_looked_at():
    narrow = nn.Sequential(nn.Conv2d(128, 8, 3), nn.Linear(512, 8))
    assert not is_wide(narrow)
    assert not is_wide(nn.Conv2d(256, 256, 3, groups=2))
    assert is_wide(nn.Sequential(narrow, nn.Conv2d(256, 8, 3)))
    images = draw(3, 256, 4, 4)
    with Execution().autocast(CPU):
        assert "Convolution" in nn.Conv2d(256, 8, 3)(images).grad_fn.name()


def test_arguments_may_be_named():
    conv, images = nn.Conv2d(256, 8, 3), draw(3, 256, 4, 4)
    with Execution().autocast(CPU, is_wide=True):
        found = F.conv2d(input=images, weight=conv.weight, bias=conv.bias)
    torch.testing.assert_close(found, conv(images), rtol=1e-4, atol=1e-4)
