import pytest
import torch
from torch.nn import functional as F

from vertebra.layers.patch_conv import PatchConv


@pytest.mark.parametrize(("side", "size"), [(4, (8, 12)), (2, (6, 2)), (1, (3, 5))])
def test_where_the_side_divides_it_is_the_plain_convolution(side, size):
    conv, x = PatchConv(3, 5, side), torch.randn(2, 3, *size)
    assert torch.equal(conv(x), F.conv2d(x, conv.weight, conv.bias, stride=side))


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (8, 5), (7, 9)])
def test_zeros_below_and_to_the_right_fill_the_last_patches(size):
    conv, x = PatchConv(3, 5, 4), torch.randn(2, 3, *size)
    whole = torch.zeros(2, 3, -(-size[0] // 4) * 4, -(-size[1] // 4) * 4)
    whole[:, :, : size[0], : size[1]] = x
    assert torch.equal(conv(x), conv(whole))


def test_each_patch_is_mapped_by_itself():
    conv, x = PatchConv(3, 5, 2), torch.randn(1, 3, 4, 6)
    patch = x[0, :, 2:4, 4:6].flatten()
    wanted = conv.weight.flatten(1) @ patch + conv.bias
    torch.testing.assert_close(conv(x)[0, :, 1, 2], wanted)
