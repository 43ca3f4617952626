from hypothesis import given
from hypothesis import strategies as st

from vertebra.layers.rounding import round_channels


@given(st.floats(0.01, 5000), st.sampled_from([1, 8, 32]))
def test_channels_are_the_nearest_multiple_and_never_zero(channels, multiple):
    rounded = round_channels(channels, multiple)
    assert rounded % multiple == 0
    assert rounded >= multiple
    assert abs(rounded - channels) <= multiple / 2 or rounded == multiple


def test_halves_go_up():
    assert [round_channels(n) for n in (4, 12, 20)] == [8, 16, 24]
