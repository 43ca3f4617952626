import pytest
import torch

from vertebra.layers.channel_norm import ChannelNorm


def drawn(channels: int) -> ChannelNorm:
    norm = ChannelNorm(channels)
    torch.nn.init.uniform_(norm.weight, 0.3, 0.9)
    torch.nn.init.normal_(norm.bias)
    return norm


def test_each_place_is_normed_over_its_channels():
    norm, x = drawn(5), torch.randn(2, 5, 3, 4)
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).square().mean(1, keepdim=True)
    wanted = (x - mean) / (variance + 1e-6).sqrt()
    wanted = wanted * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
    torch.testing.assert_close(norm(x), wanted)


def test_epsilon_decides_where_channels_are_alike():
    x = torch.tensor([1e-3, -1e-3]).view(1, 2, 1, 1)
    assert ChannelNorm(2)(x).abs().max().item() == pytest.approx(1e-3 / (2e-6) ** 0.5, rel=1e-3)
    assert ChannelNorm(2, epsilon=1.0)(x).abs().max() < 2e-3


def test_what_comes_out_has_its_channels_last_in_memory():
    normed = drawn(8)(torch.randn(2, 8, 3, 4))
    assert normed.is_contiguous(memory_format=torch.channels_last)
