import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models.drawn import randomise
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.bench.account import account
from vertebra.contracts import fused
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.ghost import GhostModule


def channel_by_channel(ghost: GhostModule, x: Tensor, channels: int) -> Tensor:
    """Returns what the paper's equations say in evaluation, one channel after another."""
    computed = torch.relu(normalised(F.conv2d(x, ghost.primary.conv.weight, padding=1), ghost, 0))
    found = list(computed.unbind(1))
    for number, kernel in enumerate(ghost.cheap.conv.weight):
        source = number // (len(ghost.cheap.conv.weight) // computed.shape[1])
        derived = F.conv2d(computed[:, source, None], kernel[None], padding=2)
        found.append(torch.relu(normalised(derived, ghost, number, cheap=True))[:, 0])
    return torch.stack(found[:channels], 1)


def normalised(x: Tensor, ghost: GhostModule, start: int, *, cheap: bool = False) -> Tensor:
    norm = (ghost.cheap if cheap else ghost.primary).norm
    part = slice(start, start + x.shape[1])
    mean, var, weight, bias = (
        each[part, None, None]
        for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / (var + norm.eps).sqrt() * weight + bias


@pytest.mark.parametrize(("channels", "ratio"), [(8, 2), (7, 2), (8, 3), (9, 4)])
def test_the_module_is_what_its_equations_say(channels, ratio):
    torch.manual_seed(0)
    ghost = GhostModule(3, channels, kernel=3, ratio=ratio, cheap_kernel=5, act=nn.ReLU())
    randomise(ghost).eval()
    x = torch.randn(2, 3, 6, 5)
    with torch.no_grad():
        torch.testing.assert_close(ghost(x), channel_by_channel(ghost, x, channels))
        torch.testing.assert_close(fused(ghost)(x), ghost(x), rtol=1e-4, atol=1e-5)


@given(channels=st.integers(1, 12), ratio=st.integers(1, 5), stride=st.integers(1, 2))
def test_any_number_of_channels_comes_out_and_all_parts_learn(channels, ratio, stride):
    ghost = GhostModule(3, channels, kernel=3, stride=stride, ratio=ratio)
    randomise(ghost)
    found = ghost(torch.randn(2, 3, 7, 4))
    assert found.shape == (2, channels, -(-7 // stride), -(-4 // stride))
    (found * torch.randn_like(found)).sum().backward()
    assert [name for name, p in ghost.named_parameters() if p.grad is None] == []


def test_at_ratio_one_it_is_a_convolution_and_its_norm():
    plain = randomise(ConvNorm(3, 5, kernel=3, stride=2, dilation=2, act=nn.ReLU())).eval()
    ghost = GhostModule(3, 5, kernel=3, stride=2, dilation=2, ratio=1, act=nn.ReLU()).eval()
    ghost.primary.load_state_dict(plain.state_dict())
    assert ghost.state_dict().keys() == {f"primary.{key}" for key in plain.state_dict()}
    x = torch.randn(1, 3, 9, 8)
    assert torch.equal(ghost(x), plain(x))


@pytest.mark.parametrize(("ratio", "saving"), [(2, 1.996), (4, 3.977)])
def test_it_saves_operations_as_the_closed_form_says(ratio, saving):
    with torch.device("meta"):
        plain = ConvNorm(512, 512, kernel=3)
        ghost = GhostModule(512, 512, kernel=3, ratio=ratio)
    before, after = (account(part, image_size=7, in_channels=512).macs for part in (plain, ghost))
    assert before / after == ratio * 512 * 9 / (512 * 9 + (ratio - 1) * 9)
    assert before / after == pytest.approx(saving, abs=0.001)


@pytest.mark.parametrize(("ratio", "cheap_kernel"), [(0, 3), (2, 4), (2, 0)])
def test_a_value_out_of_range_is_refused(ratio, cheap_kernel):
    with pytest.raises(RecipeError, match=f"ratio={ratio}, cheap_kernel={cheap_kernel}; choose"):
        GhostModule(3, 8, ratio=ratio, cheap_kernel=cheap_kernel)
