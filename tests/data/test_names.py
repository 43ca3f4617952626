import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.album import sent

from vertebra.data.names import Names, natural


@given(st.lists(st.text()))
def test_names_are_the_strings_they_were_made_of(texts: list[str]):
    assert list(Names.of(texts)) == texts
    assert len(Names.of(texts)) == len(texts)


def test_names_that_are_no_text_survive():
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert Names.of(["a", name])[1] == name


def test_taken_names_stand_in_the_order_of_the_indices():
    names = Names.of(["a", "", "ccc", "dd"])
    assert list(names.take(np.array([3, 0, 1, 3]))) == ["dd", "a", "", "dd"]
    assert list(sent(names)) == ["a", "", "ccc", "dd"]


@given(st.lists(st.text(alphabet="a-/.0é\udc80\ue000")))
def test_order_is_that_of_the_strings(texts: list[str]):
    places = sorted(range(len(texts)), key=texts.__getitem__)
    assert Names.of(texts).order().tolist() == places
    assert Names.of(sorted(texts)).order().tolist() == list(range(len(texts)))


def test_an_index_past_the_end_is_an_error():
    with pytest.raises(IndexError):
        Names.of(["a"])[1]


def test_natural_order_reads_numbers_and_ignores_case():
    assert sorted(["b10", "B9", "a", "b9", "10", "9"], key=natural) == [
        *("9", "10", "a", "B9", "b9", "b10")
    ]
    assert sorted(["é2", "x²", "x٣", "x2"], key=natural)  # odd digits compare too
