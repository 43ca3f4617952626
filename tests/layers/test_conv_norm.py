import pytest
import torch
from torch import nn

from vertebra.layers.conv_norm import ConvNorm


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_stride_alone_decides_the_size(kernel, stride, size):
    out = ConvNorm(2, 4, kernel=kernel, stride=stride).eval()(torch.zeros(1, 2, size, size))
    assert out.shape == (1, 4, -(-size // stride), -(-size // stride))


def test_activation_comes_after_the_norm():
    layer = ConvNorm(2, 4, act=nn.ReLU())
    x = torch.randn(8, 2, 3, 3)
    torch.testing.assert_close(layer(x), layer.norm(layer.conv(x)).relu())
