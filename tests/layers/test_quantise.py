"""Fixed levels against a loop, counts of distinct values, and gradients written down."""

import pytest
import torch
from torch.testing import assert_close

from vertebra.errors import RecipeError
from vertebra.layers.quantise import ActivationLevels, FilterLevels, RowLevels

BITS = [2, 4, 8]


@pytest.fixture
def weight():
    return torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.2


def plain_filters(weight, bits):
    """Returns the levels one weight at a time."""
    bounded = weight.tanh()
    scale = 2 * float(bounded.abs().mean())
    levels = [-0.5 + k / (2**bits - 1) for k in range(2**bits)]
    nearest = [
        min(levels, key=lambda level, x=x: abs(level - x / scale)) for x in bounded.flatten()
    ]
    return torch.tensor(nearest).view_as(weight) * scale


@pytest.mark.parametrize("bits", BITS)
def test_filters_go_to_the_nearest_of_so_many_levels(weight, bits):
    found = FilterLevels(bits)(weight)
    assert_close(found, plain_filters(weight, bits), atol=1e-6, rtol=1e-5)
    assert len(found.unique()) <= 2**bits


def test_two_bits_have_four_levels_and_none_at_zero(weight):
    values = FilterLevels(2)(weight).unique() / (2 * weight.tanh().abs().mean())
    assert_close(values, torch.tensor([-1 / 2, -1 / 6, 1 / 6, 1 / 2]))


def test_filters_pass_gradients_to_both_sides_of_the_outermost_level(weight):
    weight = weight.double().requires_grad_()
    FilterLevels(2)(weight).sum().backward()
    assert_close(weight.grad, 1 - weight.detach().tanh() ** 2)


@pytest.mark.parametrize("bits", BITS)
def test_rows_are_centred_and_scaled_each_by_its_largest_weight(bits):
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)) * 0.1
    found = RowLevels(bits)(weight)
    centred = weight.tanh() - weight.tanh().mean(1, keepdim=True)
    largest = centred.abs().amax(1)
    assert_close(found.abs().amax(1), largest)
    assert all(len(row.unique()) <= 2**bits for row in found)
    assert (found - centred).abs().max() <= float(largest.max()) / (2**bits - 1) + 1e-6


@pytest.mark.parametrize("bits", BITS)
def test_activations_are_a_tenth_clamped_to_even_steps(bits):
    x = torch.linspace(-5, 15, 997)
    found = ActivationLevels(bits)(x)
    steps = 2**bits - 1
    assert torch.equal(found, ((x * 0.1).clamp(0, 1) * steps).round() / steps)
    assert len(found.unique()) == 2**bits


def test_activations_pass_a_tenth_of_the_gradient_inside_and_none_outside():
    x = torch.tensor([-1.0, 0.4, 3.0, 9.9, 12.0], dtype=torch.float64, requires_grad=True)
    ActivationLevels(4)(x).sum().backward()
    assert_close(x.grad, torch.tensor([0, 0.1, 0.1, 0.1, 0], dtype=torch.float64))


def test_more_bits_err_less(weight):
    x = torch.rand(1000, generator=torch.Generator().manual_seed(1)) * 10
    errors = [float((ActivationLevels(bits)(x) - 0.1 * x).square().mean()) for bits in BITS]
    assert errors == sorted(errors, reverse=True)
    clamped = weight.tanh().clamp(*(weight.tanh().abs().mean() * sign for sign in (-1, 1)))
    errors = [float((FilterLevels(bits)(weight) - clamped).square().mean()) for bits in BITS]
    assert errors == sorted(errors, reverse=True)


def test_nothing_but_zeros_stays_finite():
    for levels in (FilterLevels(2), RowLevels(8)):
        weight = torch.zeros(3, 4, requires_grad=True)
        found = levels(weight)
        found.sum().backward()
        assert_close(found.detach(), torch.zeros(3, 4))
        assert weight.grad.isfinite().all()


@pytest.mark.parametrize("kind", [FilterLevels, RowLevels, ActivationLevels])
def test_other_numbers_of_bits_are_refused(kind):
    for bits in (1, 9):
        with pytest.raises(RecipeError, match=f"bits={bits}; give 2 to 8"):
            kind(bits)
