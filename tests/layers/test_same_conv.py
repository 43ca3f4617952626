"""Padding as TensorFlow's: timm's values at every size, and the way that is faster on a CPU."""

from typing import Any

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from vertebra.layers.conv_like import conv_like
from vertebra.layers.convolutions_on_cpu import ConvolutionsOnCpu
from vertebra.layers.same_conv import SameConv2d


@pytest.mark.parametrize(
    "theirs",
    [
        Conv2dSame(4, 6, 3, stride=2),
        Conv2dSame(4, 4, 5, stride=2, groups=4, bias=False),
        Conv2dSame(4, 6, (3, 2), stride=(1, 3), dilation=(2, 1)),
        Conv2dSame(4, 6, 1, stride=3),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 8), (10, 7)])
def test_values_and_gradients_are_those_of_timm(theirs: nn.Conv2d, size: tuple[int, int]):
    ours = conv_like(theirs, SameConv2d)
    assert ours.weight is theirs.weight and ours.bias is theirs.bias
    images = torch.randn(2, 4, *size, requires_grad=True)
    found, wanted = ours(images), theirs(images)
    sides = zip(size, ours.stride, strict=True)
    assert found.shape[2:] == tuple(-(-side // step) for side, step in sides)
    assert torch.equal(found, wanted)
    leaves = [images, ours.weight]
    one, other = (torch.autograd.grad(each.sin().sum(), leaves) for each in (found, wanted))
    torch.testing.assert_close(one, other)


def test_a_cpu_takes_the_faster_way_for_it():
    conv = SameConv2d(8, 8, 3, stride=2, groups=8)
    images = torch.randn(3, 8, 10, 7).contiguous(memory_format=torch.channels_last)
    wanted = conv(images)
    with torch.autocast("cpu", torch.bfloat16), ConvolutionsOnCpu(conv, torch.bfloat16).taken():
        found = conv(images.bfloat16())
    node: Any = found.grad_fn
    assert "_Convolve" in node.name() and node.gradient_of_weights is None  # gradients in fp32
    torch.testing.assert_close(found.float(), wanted, rtol=0.02, atol=0.02)
