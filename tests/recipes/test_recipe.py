"""What a recipe refuses by itself, before any data is read."""

from dataclasses import replace

import pytest

from vertebra.data.preprocess import Preprocess
from vertebra.errors import RecipeError
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import vary

SMALL = load("small")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"phases": []}, "a recipe has no phases"),
        ({"dropout": 1.0}, r"dropout=1\.0; give a rate in \[0, 1\)"),
        ({"seed": -1}, "seed=-1; give zero or more"),
        ({"data.batch_size": 0}, "batch_size=0; give at least 1"),
        ({"length": "0 steps"}, "length=0 steps; give a duration above zero"),
        ({"clip_norm": 0.0}, r"clip_norm=0\.0; give a positive norm"),
        ({"accumulate": 0}, "accumulate=0 does not divide"),
        ({"selection.every": "0 epochs"}, "selection every 0 epochs"),
    ],
)
def test_a_value_out_of_range_is_refused_at_once(changes, told):
    with pytest.raises(RecipeError, match=told):
        vary(SMALL, changes)


def test_a_recipe_is_frozen_and_compares_by_value():
    assert load("small") == SMALL
    with pytest.raises(AttributeError):
        SMALL.seed = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("processes", "accumulate"), [(3, 1), (2, 64), (5, 2)])
def test_a_batch_that_cannot_be_shared_is_refused_with_what_can(processes, accumulate):
    recipe = vary(SMALL, {"accumulate": accumulate})
    share = processes * accumulate
    with pytest.raises(RecipeError, match=rf"of phase 0 cannot be shared .* a multiple of {share}"):
        recipe.check(processes=processes)


def test_a_batch_that_can_be_shared_is_accepted():
    vary(SMALL, {"accumulate": 8}).check(processes=8)


def test_phases_have_to_agree_on_channels():
    grey = vary(SMALL, {"data.preprocess": Preprocess.for_channels(1, image_size=128)}).phases[0]
    recipe = replace(SMALL, phases=(SMALL.phases[0], grey))
    with pytest.raises(RecipeError, match=r"phases give the model \[1, 3\] channels"):
        recipe.check()


def test_a_pass_is_a_batch_over_what_is_accumulated():
    assert vary(SMALL, {"accumulate": 4}).phases[0].pass_size == 16
