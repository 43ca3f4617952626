"""`vertebra recipes`: the shelf, one of it, and two side by side."""

import json

from tests.cli.conftest import vertebra

from vertebra.recipes.codec import from_data
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.shelf import RECIPES, load


def test_every_recipe_has_a_line():
    lines = vertebra("recipes").out.splitlines()
    assert [line.split()[0] for line in lines[1 : len(RECIPES) + 1]] == list(RECIPES)
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert vertebra("recipes", "list").out.splitlines() == lines


def test_show_prints_what_can_be_read_back(trained):
    assert from_data(Recipe, json.loads(vertebra("recipes", "show", "small").out)) == load("small")
    out, _ = trained
    for name in (out, out / "recipe.json"):
        assert from_data(Recipe, json.loads(vertebra("recipes", "show", name).out)) == load(out)


def test_diff_lists_where_two_differ():
    lines = vertebra("recipes", "diff", "resnet-rs", "resnet-rs-152-256").out.splitlines()
    assert lines[0].split() == ["entry", "resnet-rs", "resnet-rs-152-256"]
    table = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert table["data.preprocess.image_size"] == ["160", "256"]
    assert table["data.augment.rand_augment.magnitude"] == ["10", "15"]
    assert "optimizer.lr" not in table


def test_diff_says_what_a_run_did_otherwise(trained):
    said = vertebra("recipes", "diff", trained[0], "small")
    assert "model.width" in said.out and "0.125" in said.out


def test_the_same_recipe_twice_does_not_differ():
    assert vertebra("recipes", "diff", "small", "small").out == "small and small are the same\n"
