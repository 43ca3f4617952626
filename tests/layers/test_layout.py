import pytest
import torch
from torch import nn

from vertebra.layers.layout import lay_out_by_pixel


def test_convolutions_of_both_ranks_are_laid_out_and_keep_their_values():
    module = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.Linear(3, 4)])
    before = [parameter.clone() for parameter in module.parameters()]
    same = list(module.parameters())
    lay_out_by_pixel(module)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert module[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert all(a is b for a, b in zip(same, module.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize(
    "conv",
    [nn.Conv2d(64, 128, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(1, 4, 3), nn.Conv2d(4, 1, 1)],
    ids=str,
)
def test_gradients_lie_as_the_weights_do_even_where_a_side_of_one_leaves_that_open(conv):
    lay_out_by_pixel(conv)
    images = torch.randn(2, conv.in_channels, 5, 5).contiguous(memory_format=torch.channels_last)
    conv(images).sum().backward()
    by_pixel = torch.empty(conv.weight.shape, memory_format=torch.channels_last)
    assert conv.weight.grad.stride() == conv.weight.stride() == by_pixel.stride()
