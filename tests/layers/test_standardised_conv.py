"""Standardised filters: mean zero, variance one, whatever the weights."""

import pytest
import timm
import torch
from torch import nn

from vertebra.contracts import fused
from vertebra.layers.conv_like import conv_like
from vertebra.layers.standardised_conv import StandardisedConv2d


def drawn(groups: int = 2) -> StandardisedConv2d:
    torch.manual_seed(0)
    return StandardisedConv2d(4, 6, 3, stride=2, padding=1, groups=groups)


def test_each_filter_has_mean_zero_and_variance_one():
    filters = drawn().standardised_weight().flatten(1)
    torch.testing.assert_close(filters.mean(1), torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(filters.var(1, correction=0), torch.ones(6))


def test_it_is_the_plain_convolution_with_filters_standardised_one_by_one():
    conv = drawn()
    plain = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    with torch.no_grad():
        for place, each in enumerate(conv.weight):
            plain.weight[place] = (each - each.mean()) / each.std(correction=0)
        plain.bias.copy_(conv.bias)
    x = torch.randn(2, 4, 7, 8)
    torch.testing.assert_close(conv(x), plain(x))


def test_scale_and_shift_of_a_filter_are_forgotten():
    conv, x = drawn(), torch.randn(2, 4, 7, 8)
    before = conv(x)
    with torch.no_grad():
        conv.weight[1] = conv.weight[1] * 5 + 1
    torch.testing.assert_close(conv(x), before, rtol=1e-4, atol=1e-5)


def test_timm_standardises_alike():
    ours = StandardisedConv2d(4, 6, 3, bias=False)
    theirs = timm.layers.StdConv2d(4, 6, 3, padding=0, bias=False, eps=1e-8)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 7, 8)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    conv = drawn().double()
    x = torch.randn(1, 4, 4, 4, dtype=torch.double)

    def loss(weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(conv, {"weight": weight}, (x,)).square().sum()

    assert torch.autograd.gradcheck(loss, conv.weight)


def test_sums_are_kept_wider_than_half_precision():
    conv = drawn()
    found = conv.bfloat16().standardised_weight()
    wanted = conv.float().standardised_weight()
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("has_bias", [True, False])
def test_one_made_of_a_convolution_has_its_very_parameters_and_settings(has_bias):
    conv = nn.Conv2d(4, 8, (3, 5), stride=(1, 2), padding="valid", groups=4, bias=has_bias).eval()
    made = conv_like(conv, StandardisedConv2d)
    assert made.weight is conv.weight and made.bias is conv.bias
    assert made.extra_repr() == conv.extra_repr()
    assert not made.training
    assert made(torch.randn(1, 4, 9, 9)).shape == conv(torch.randn(1, 4, 9, 9)).shape


def test_the_form_for_inference_is_a_plain_convolution_that_gives_the_same():
    conv, x = drawn(), torch.randn(2, 4, 7, 8)
    plain = fused(nn.Sequential(conv))[0]
    assert type(plain) is nn.Conv2d
    torch.testing.assert_close(plain(x), conv(x))
