"""The learned step against the equations of its paper."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vertebra.layers.learned_step import LearnedStep

BITS = [2, 4, 8]


def levels(bits, *, signed=True, step=0.3):
    made = LearnedStep(bits, signed=signed).double()
    nn.init.constant_(made.log_step, math.log(step))
    return made


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_values_are_multiples_of_the_step_within_the_range(bits, signed):
    x = torch.linspace(-100, 100, 40_001, dtype=torch.float64)
    made = levels(bits, signed=signed)
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    found = made(x)
    assert_close(found, (x / 0.3).round().clamp(lowest, highest) * 0.3)
    assert len(found.unique()) == 2**bits


@pytest.mark.parametrize("bits", BITS)
def test_what_is_quantised_already_stays(bits):
    made = levels(bits)
    once = made(torch.randn(200, dtype=torch.float64))
    assert_close(made(once), once)


def test_gradients_are_those_of_the_paper():
    step, bits = 0.3, 4
    x = torch.tensor([-9.0, -1.0, -0.2, 0.0, 0.31, 1.9, 9.0], dtype=torch.float64)
    x.requires_grad_()
    made = levels(bits, step=step)
    towards = torch.randn(len(x), dtype=torch.float64)
    (made(x) * towards).sum().backward()
    ratio = x.detach() / step
    inside = (ratio > -8) & (ratio < 7)
    each = torch.where(inside, ratio.round() - ratio, ratio.clamp(-8, 7))
    scale = 1 / math.sqrt(len(x) * 7)
    # the logarithm learns: d / d log s = s d / ds
    assert_close(made.log_step.grad, (each * towards).sum() * scale * step)
    assert_close(x.grad, towards * inside)


def test_more_bits_err_less():
    weight = torch.randn(64, 9)
    errors = []
    for bits in BITS:
        made = LearnedStep(bits, signed=True)
        made.start_for(weight)
        errors.append(float((made(weight) - weight).detach().square().mean()))
    assert errors[0] > 4 * errors[1] > 16 * errors[2]


@pytest.mark.parametrize("bits", BITS)
def test_filters_that_are_mostly_zero_start_exact(bits):
    """As [I | I] is: ones and zeros."""
    weight = torch.zeros(4, 8, 3, 3)
    weight[range(4), range(4), 1, 1] = 1
    made = LearnedStep(bits, signed=True)
    made.start_for(weight)
    assert_close(made(weight), weight)


@pytest.mark.parametrize("signed", [True, False])
def test_the_step_behind_a_norm_is_what_a_first_batch_would_give(signed):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6)
    nn.init.uniform_(norm.weight, -1, 2)
    nn.init.normal_(norm.bias)
    made = LearnedStep(4, signed=signed)
    made.start_behind(norm)
    given = norm(torch.randn(64, 6, 40, 40)).detach()
    size = given.abs() if signed else given.clamp(min=0)
    assert_close(made.step, 2 * size.mean() / math.sqrt(made.highest), rtol=0.01, atol=0)
