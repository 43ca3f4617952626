import pytest
import torch

from vertebra.errors import RecipeError
from vertebra.layers.stochastic_depth import StochasticDepth


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_sample_is_dropped_or_scaled_as_a_whole(rate):
    torch.manual_seed(0)
    factors = StochasticDepth(rate)(torch.ones(10_000, 2, 3, 1))
    assert (factors == factors[:, :1, :1]).all()
    values = factors[:, 0, 0, 0].unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / (1 - rate)]))
    assert (factors == 0).float().mean().item() == pytest.approx(rate, abs=0.02)


def test_the_mean_over_many_draws_is_the_input():
    torch.manual_seed(0)
    x = torch.tensor([3.0, -2.0]).expand(100_000, 2)
    torch.testing.assert_close(StochasticDepth(0.2)(x).mean(0), x[0], rtol=0.01, atol=0)


def test_evaluation_and_rate_zero_change_no_bit():
    x = torch.randn(4, 3)
    assert StochasticDepth(0.5).eval()(x) is x
    assert StochasticDepth(0.0)(x) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(RecipeError, match=r"choose one in \[0, 1\)"):
        StochasticDepth(rate)
