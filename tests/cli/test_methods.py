"""`vertebra methods`."""

import json

import pytest
from tests.cli.conftest import vertebra

from vertebra.recipes.ways.shelf import METHODS


def test_every_method_is_listed():
    said = vertebra("methods")
    assert said.code == 0
    lines = said.out.splitlines()[1:]
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [*METHODS]


@pytest.mark.parametrize("name", METHODS)
def test_one_is_shown_with_its_cost_and_source(name):
    said = vertebra("methods", name, "--json")
    (row,) = json.loads(said.out)
    assert row["method"] == name
    assert row["a step costs"][0].isdigit()
    assert row["source"].endswith(")")


def test_a_misspelt_one_is_answered_with_the_nearest():
    said = vertebra("methods", "cosup")
    assert said.code == 2
    assert "'cosub'" in said.err
