import torch
from tests.models.drawn import randomise
from torch import nn

from vertebra.layers.linear_norm import LinearNorm


def test_statistics_are_those_of_a_1x1_convolution_over_all_tokens():
    layer, norm = LinearNorm(3, 5), nn.BatchNorm2d(5)
    x = torch.randn(4, 6, 7, 3)
    by_channel = norm(
        nn.functional.conv2d(x.permute(0, 3, 1, 2), layer.linear.weight[..., None, None])
    )
    torch.testing.assert_close(layer(x), by_channel.permute(0, 2, 3, 1))
    torch.testing.assert_close(layer.norm.running_var, norm.running_var)


def test_any_leading_axes_pass():
    layer = LinearNorm(3, 5).eval()
    x = torch.randn(4, 6, 3)
    torch.testing.assert_close(layer(x)[1, 2], layer(x[1, 2][None])[0])


def test_activation_comes_after_the_norm():
    layer = LinearNorm(3, 5, act=nn.ReLU()).eval()
    x = torch.randn(8, 3)
    torch.testing.assert_close(layer(x), layer.norm(layer.linear(x)).relu())


def test_folded_is_one_linear_map_and_gives_the_same():
    for act in (None, nn.Hardswish()):
        layer = randomise(LinearNorm(3, 5, act=act)).eval()
        x = torch.randn(2, 4, 3)
        folded = layer.folded()
        torch.testing.assert_close(folded(x), layer(x))
        assert [type(m) for m in folded.modules() if list(m.parameters(recurse=False))] == [
            nn.Linear
        ]


def test_a_zero_start_gives_zero():
    assert not LinearNorm(3, 5, zero_init=True)(torch.randn(8, 3)).any()
    assert LinearNorm(3, 5)(torch.randn(8, 3)).any()
