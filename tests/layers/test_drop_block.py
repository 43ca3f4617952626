import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vertebra.errors import RecipeError
from vertebra.layers.drop_block import DropBlock


def masks(layer: DropBlock, samples: int, height: int, width: int) -> torch.Tensor:
    torch.manual_seed(0)
    return layer(torch.ones(samples, 3, height, width))


@given(
    rate=st.floats(0.05, 0.9),
    size=st.integers(1, 8),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_channels_share_a_mask_of_whole_squares_that_keeps_the_mean(rate, size, height, width):
    out = masks(DropBlock(rate, size=size), 16, height, width)
    assert (out == out[:, :1]).all()
    kept = out[:, 0] > 0
    if kept.any():
        assert out.mean().item() == pytest.approx(1, rel=1e-5)
    assert torch.equal(~kept, covered_by_squares(~kept, min(size, height, width)))


def covered_by_squares(dropped: torch.Tensor, size: int) -> torch.Tensor:
    """Returns the union of the size x size squares that lie inside `dropped`, one by one."""
    union = torch.zeros_like(dropped)
    for top in range(dropped.shape[1] - size + 1):
        for left in range(dropped.shape[2] - size + 1):
            square = (slice(None), slice(top, top + size), slice(left, left + size))
            union[square] |= dropped[square].all((1, 2))[:, None, None]
    return union


@pytest.mark.parametrize(("size", "side", "share"), [(1, 14, 0.1), (7, 14, 0.09), (14, 14, 0.1)])
def test_the_dropped_share_is_what_the_rate_says(size, side, share):
    out = masks(DropBlock(0.1, size=size), 5000, side, side)
    assert (out == 0).float().mean().item() == pytest.approx(share, abs=0.01)


def test_gamma_scale_divides_the_dropped_share():
    out = masks(DropBlock(0.1, size=5, gamma_scale=0.25), 5000, 14, 14)
    assert (out == 0).float().mean().item() == pytest.approx(0.025, abs=0.003)


def test_samples_have_masks_of_their_own():
    out = masks(DropBlock(0.5, size=2), 8, 6, 6)
    assert len(out.unique(dim=0)) > 1


def test_evaluation_and_rate_zero_change_no_bit():
    x = torch.randn(2, 3, 4, 4)
    assert DropBlock(0.5, size=3).eval()(x) is x
    assert DropBlock(0.0, size=3)(x) is x


@pytest.mark.parametrize(("rate", "size"), [(-0.1, 3), (1.0, 3), (0.5, 0)])
def test_settings_out_of_range_are_refused(rate, size):
    with pytest.raises(RecipeError, match="choose a rate"):
        DropBlock(rate, size=size)
