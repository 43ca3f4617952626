"""A name is found, or the nearest one is offered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra.errors import NameLookupError
from vertebra.lookup import find, suggest

SHELF = {"resnet18": 1, "resnet50": 2, "resnetrs50": 3}


def test_a_known_name_gives_its_value():
    assert find(SHELF, "resnet50", kind="model") == 2


def test_a_value_of_none_is_found():
    assert find({"nothing": None}, "nothing", kind="option") is None


def test_a_misspelt_name_is_offered_the_nearest():
    with pytest.raises(NameLookupError) as caught:
        find(SHELF, "resent50", kind="model")
    assert str(caught.value) == "unknown model 'resent50'; did you mean 'resnet50'?"


def test_case_does_not_hide_the_nearest():
    assert suggest("RESNETRS50", SHELF) == "did you mean 'resnetrs50'?"
    assert suggest("macs", ["MACs", "params"]) == "did you mean 'MACs'?"


def test_a_far_name_gets_the_shelf_in_order():
    assert suggest("vgg", ["b", "a"]) == "choose one of a, b"


def test_a_long_shelf_is_cut():
    shown = suggest("?", [f"n{number:02}" for number in range(40)])
    assert shown.endswith("n10, n11, ...")


def test_an_empty_shelf_says_so():
    assert suggest("x", []) == "there is none to choose from"


@given(st.text(), st.sets(st.text(min_size=1)))
def test_a_suggestion_is_always_a_known_name(name, known):
    found = suggest(name, known)
    if found.startswith("did you mean"):
        assert any(repr(each) in found for each in known)
