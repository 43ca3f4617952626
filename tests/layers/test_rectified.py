"""The spread of rectified numbers against drawn ones."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vertebra.layers.rectified import Spread


def test_rectified_is_what_drawn_numbers_show():
    spread = Spread(torch.tensor([-2.0, 0.0, 0.5, 3.0]), torch.tensor([1.0, 2.0, 0.1, 1.0]))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(400_000, 4, generator=generator) * spread.deviation + spread.mean
    found = spread.rectified()
    assert_close(found.mean, drawn.relu().mean(0), atol=0.01, rtol=0.02)
    assert_close(found.deviation, drawn.relu().std(0), atol=0.01, rtol=0.02)


def test_what_never_varies_is_rectified_as_a_number_is():
    found = Spread(torch.tensor([-1.0, 2.0]), torch.zeros(2)).rectified()
    assert_close(found.mean, torch.tensor([0.0, 2.0]))
    assert_close(found.deviation, torch.zeros(2), atol=1e-3, rtol=0)


def test_independent_spreads_add_as_variances_do():
    found = Spread(torch.ones(1), torch.tensor([3.0])).plus(
        Spread(torch.ones(1), torch.tensor([4.0]))
    )
    assert (float(found.mean), float(found.deviation)) == (2.0, 5.0)


def test_only_batch_norms_say_how_their_output_is_spread():
    with pytest.raises(TypeError, match="GroupNorm is no batch norm"):
        Spread.behind(nn.GroupNorm(1, 2))
