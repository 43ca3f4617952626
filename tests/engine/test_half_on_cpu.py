"""Convolutions that go another way in bf16 give what autocast gives, up to rounding."""

import pytest
import torch
from torch import Tensor, nn

from vertebra.engine.execution import Execution
from vertebra.engine.half_on_cpu import HalfOnCpu

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
        with HalfOnCpu():
            found = pass_through(conv, images)
    for exact, theirs, ours in zip(wanted, usual, found, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        error = (ours.float() - exact).abs().max() / exact.abs().max()
        assert error <= max(0.02, 2 * (theirs.float() - exact).abs().max() / exact.abs().max())


def test_gradients_of_depthwise_convolutions_are_computed_in_fp32():
    conv, images = CONVOLUTIONS[0], draw(3, 8, 9, 7).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), HalfOnCpu():
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
