"""Lengths of time: text and back, and the one conversion to steps."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra.duration import Duration, epochs, steps
from vertebra.errors import RecipeError

lengths = st.one_of(
    st.floats(0, 1e15, allow_nan=False).map(epochs), st.integers(0, 2**53).map(steps)
)


@given(lengths)
def test_text_reads_back_as_the_same_duration(duration):
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", epochs(90)),
        (" 0.5 epoch ", epochs(0.5)),
        ("90epochs", epochs(90)),
        ("1 step", steps(1)),
        ("5000 steps", steps(5000)),
        ("1e-05 epochs", epochs(1e-5)),
    ],
)
def test_durations_are_read(text, expected):
    assert Duration.parse(text) == expected


@pytest.mark.parametrize("text", ["", "epochs", "-1", "90 minutes", "nan", "1 2", "9 e", "٣"])
def test_other_text_is_refused_with_examples(text):
    with pytest.raises(RecipeError, match=r"write it like '90 epochs' or '5000 steps'"):
        Duration.parse(text)


def test_text_is_what_a_person_would_write():
    assert [str(epochs(90)), str(epochs(0.5)), str(steps(1234567))] == [
        "90 epochs",
        "0.5 epochs",
        "1234567 steps",
    ]


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_an_impossible_length_is_refused(value):
    with pytest.raises(RecipeError, match="finite number of epochs, zero or more"):
        epochs(value)


def test_half_a_step_is_refused():
    with pytest.raises(RecipeError, match="steps are whole, so write 2"):
        Duration.parse("2.5 steps")


def test_an_unknown_unit_is_refused():
    with pytest.raises(RecipeError, match="duration is in 'hours'; give it in epochs or steps"):
        Duration(1, "hours")


def test_steps_stay_steps():
    assert steps(7).to_steps(1000.5) == 7


@given(st.integers(0, 10**4), st.integers(1, 10**5))
def test_hundredths_of_an_epoch_round_up_exactly(hundredths, steps_per_epoch):
    exact = math.ceil(Fraction(hundredths, 100) * steps_per_epoch)
    assert epochs(hundredths / 100).to_steps(steps_per_epoch) == exact


def test_float_noise_adds_no_step():
    assert 0.07 * 100 > 7
    assert epochs(0.07).to_steps(100) == 7


def test_part_of_a_step_is_a_step():
    assert epochs(1).to_steps(10.01) == 11
