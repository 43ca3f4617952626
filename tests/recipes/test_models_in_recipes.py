"""Every model on the shelf can stand in a recipe."""

import pytest

from vertebra.models.shelf import SHELF, find_spec
from vertebra.models.specs import ModelSpec
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import vary


@pytest.mark.parametrize("name", SHELF)
def test_a_named_model_survives_being_written_and_read(name):
    spec = find_spec(name)
    assert from_data(ModelSpec, to_data(spec), path="model") == spec


@pytest.mark.parametrize("name", SHELF)
def test_a_recipe_takes_any_named_model_and_its_width(name):
    recipe = vary(load("small"), {"model": find_spec(name)})
    assert vary(recipe, {"model.width": 0.5}).model.width == 0.5
