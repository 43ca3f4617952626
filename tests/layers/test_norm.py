"""A group norm is the norm it says it is, and no layer gets one channel a group."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vertebra.errors import RecipeError
from vertebra.layers.norm import GroupNormSpec, GroupNormThen

SPECS = [
    GroupNormSpec(),
    GroupNormSpec(groups=32),
    GroupNormSpec(groups=1),
    GroupNormSpec(channels_per_group=2),
]


@given(spec=st.sampled_from(SPECS), channels=st.integers(1, 3000))
def test_groups_divide_the_channels_and_hold_more_than_one(spec, channels):
    groups = spec.groups_of(channels)
    assert channels % groups == 0
    assert channels // groups > 1 or channels == 1


@pytest.mark.parametrize(
    ("channels", "sixteen", "thirty_two"),
    [(8, 1, 4), (16, 1, 8), (24, 2, 8), (32, 2, 16), (62, 2, 2), (64, 4, 32), (72, 4, 8),
     (2048, 128, 32)],
)  # fmt: skip
def test_the_rules_give_these_groups(channels, sixteen, thirty_two):
    assert GroupNormSpec().groups_of(channels) == sixteen
    assert GroupNormSpec(channels_per_group=16).groups_of(channels) == sixteen
    assert GroupNormSpec(groups=32).groups_of(channels) == thirty_two


def by_hand(x: torch.Tensor, groups: int, eps: float) -> torch.Tensor:
    """Normalises each run of neighbouring channels of each sample, in a plain loop."""
    y = torch.empty_like(x)
    width = x.shape[1] // groups
    for sample in range(len(x)):
        for group in range(groups):
            part = x[sample, group * width : (group + 1) * width]
            deviation = (part.var(correction=0) + eps).sqrt()
            y[sample, group * width : (group + 1) * width] = (part - part.mean()) / deviation
    return y


@pytest.mark.parametrize("size", [(), (5,), (5, 4), (3, 5, 4)])
def test_statistics_are_of_neighbouring_channels_over_all_places(size):
    spec = GroupNormSpec(channels_per_group=4, eps=0.01)
    x = torch.randn(2, 12, *size)
    torch.testing.assert_close(spec.build(12)(x), by_hand(x, 3, 0.01))


def test_one_group_is_layer_norm_over_channels_and_places():
    x = torch.randn(3, 8, 5, 4)
    norm = GroupNormSpec(groups=1).build(8)
    torch.testing.assert_close(norm(x), nn.functional.layer_norm(x, (8, 5, 4)))


def test_a_single_channel_is_instance_norm():
    x = torch.randn(3, 1, 5, 4)
    torch.testing.assert_close(GroupNormSpec().build(1)(x), nn.functional.instance_norm(x))


def test_scale_and_shift_of_a_whole_group_are_forgotten():
    norm = GroupNormSpec(channels_per_group=4).build(8)
    x = torch.randn(2, 8, 6, 6)
    moved = x.clone()
    moved[0, 4:] = moved[0, 4:] * 3 + 2
    torch.testing.assert_close(norm(moved), norm(x), rtol=1e-4, atol=1e-4)
    moved[0, 4] *= 3
    assert not torch.allclose(norm(moved), norm(x), atol=0.1)


def test_a_group_of_one_value_would_give_the_shift_and_two_channels_do_not():
    x = torch.arange(16.0).view(2, 8, 1, 1)
    assert GroupNormSpec(channels_per_group=2).build(8)(x).abs().min() > 0.9
    assert nn.GroupNorm(8, 8)(x).abs().max() < 1e-3


def test_sums_are_kept_wider_than_half_precision():
    x = (torch.randn(2, 16, 32, 32) + 4).bfloat16()
    found = GroupNormSpec().build(16).bfloat16()(x).float()
    wanted = GroupNormSpec().build(16)(x.float())
    torch.testing.assert_close(found, wanted, rtol=0.01, atol=0.01)


def test_children_follow_the_norm_in_their_order():
    norm = GroupNormThen(1, 4)
    norm.add_module("act", nn.ReLU())
    norm.add_module("shift", nn.Threshold(0.5, 9.0))
    x = torch.randn(2, 4, 3, 3)
    plain = nn.functional.group_norm(x, 1).relu()
    torch.testing.assert_close(norm(x), torch.where(plain > 0.5, plain, 9.0))


def test_a_spec_reads_as_words():
    assert str(GroupNormSpec(groups=32)) == "group norm, 32 groups"
    assert str(GroupNormSpec()) == "group norm, 16 channels a group"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"groups": 32, "channels_per_group": 16}, "groups=32 and channels_per_group=16; give one"),
        ({"groups": 0}, "groups=0; give a whole number"),
        ({"channels_per_group": 1}, "one alone is instance normalisation"),
        ({"eps": 0.0}, "eps=0.0; give a small number above 0"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        GroupNormSpec(**fields)
    assert words in str(caught.value)
