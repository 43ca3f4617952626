import pytest
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import fused
from vertebra.errors import RecipeError
from vertebra.layers.selective_kernel import SelectiveKernel, SelectiveKernelSpec

CHANNELS = 8


def made(dilations: tuple[int, ...] = (1, 2), *, stride: int = 1, groups: int = 4) -> nn.Module:
    torch.manual_seed(0)
    spec = SelectiveKernelSpec(dilations=dilations, least=4)
    return randomise(spec.build(CHANNELS, stride=stride, groups=groups, act=nn.ReLU)).eval()


def channel_by_channel(layer: SelectiveKernel, x: Tensor) -> Tensor:
    """Equations 1 to 6 of the paper, each channel on its own."""
    maps = [branch(x) for branch in layer.branches]
    mean = sum(maps).mean((2, 3))
    hidden = mean @ layer.squeeze.conv.weight[:, :, 0, 0].T
    hidden = layer.squeeze.norm(hidden[..., None, None]).relu()[..., 0, 0]
    out = torch.empty_like(maps[0])
    for channel in range(CHANNELS):
        rows = [layer.select.weight[m * CHANNELS + channel, :, 0, 0] for m in range(len(maps))]
        powers = [(hidden @ row).exp() for row in rows]
        out[:, channel] = sum(
            (power / sum(powers))[:, None, None] * each[:, channel]
            for power, each in zip(powers, maps, strict=True)
        )
    return out


@pytest.mark.parametrize("dilations", [(1, 2), (1, 2, 3)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_selective_kernels_agree_with_the_equations(dilations, stride, size):
    layer = made(dilations, stride=stride)
    x = torch.randn(3, CHANNELS, *size)
    with torch.no_grad():
        found = layer(x)
        torch.testing.assert_close(found, channel_by_channel(layer, x))
    assert found.shape == (3, CHANNELS, -(-size[0] // stride), -(-size[1] // stride))


def test_the_second_branch_is_a_5x5_kernel_with_holes():
    branch = made(groups=1).branches[1]
    kernel = torch.zeros(CHANNELS, CHANNELS, 5, 5)
    kernel[:, :, ::2, ::2] = branch.conv.weight
    x = torch.randn(2, CHANNELS, 7, 6)
    torch.testing.assert_close(branch.conv(x), F.conv2d(x, kernel, padding=2))


def test_weights_sum_to_one_over_the_branches():
    layer = made((1, 2, 3))
    weights = layer.attention(torch.randn(3, 2, CHANNELS, 5, 5).unbind())
    assert weights.shape == (2, 3, CHANNELS, 1, 1)
    assert weights.std(1).min() > 0
    torch.testing.assert_close(weights.sum(1), torch.ones(2, CHANNELS, 1, 1))


def test_equal_branches_give_what_each_gives():
    layer = made()
    layer.branches[1] = layer.branches[0]
    x = torch.randn(2, CHANNELS, 5, 5)
    torch.testing.assert_close(layer(x), layer.branches[0](x))


def test_without_a_choice_the_branches_are_averaged():
    layer = made((1, 2, 3))
    nn.init.zeros_(layer.select.weight)
    x = torch.randn(2, CHANNELS, 5, 5)
    torch.testing.assert_close(layer(x), sum(branch(x) for branch in layer.branches) / 3)


@pytest.mark.parametrize(("channels", "squeezed"), [(128, 32), (512, 32), (1024, 64)])
def test_the_summary_is_a_sixteenth_but_no_less_than_32(channels, squeezed):
    with torch.device("meta"):
        built = SelectiveKernelSpec().build(channels, stride=1, groups=32, act=nn.ReLU)
    assert built.squeeze.conv.out_channels == squeezed
    assert built.squeeze.conv.bias is None


def test_the_form_for_inference_has_no_norms_and_gives_the_same():
    layer = made()
    folded = fused(layer)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    x = torch.randn(2, CHANNELS, 5, 5)
    torch.testing.assert_close(folded(x), layer(x))


def test_autocast_keeps_the_maps_in_half_precision():
    with torch.autocast("cpu", torch.bfloat16):
        assert made()(torch.randn(2, CHANNELS, 5, 5)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dilations": (1,)}, "dilations=(1,); give two or more"),
        ({"dilations": (1, 0)}, "dilations=(1, 0); give two or more"),
        ({"reduction": 0}, "reduction=0, least=32; give whole numbers"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        SelectiveKernelSpec(**fields)
    assert words in str(caught.value)
