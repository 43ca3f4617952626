"""What every named recipe has to stand, and how a recipe is found."""

import json
import subprocess
import sys

import pytest

from vertebra.errors import NameLookupError, RecipeError
from vertebra.models.shelf import title
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.shelf import RECIPES, find_recipe, load
from vertebra.recipes.vary import differences, leaves, vary


@pytest.fixture(scope="module", params=RECIPES)
def named(request) -> tuple[str, Recipe]:
    """A name on the shelf and its recipe."""
    return request.param, load(request.param)


def test_a_recipe_knows_its_own_name(named):
    name, recipe = named
    assert recipe.name == name


def test_a_recipe_survives_json(named):
    _, recipe = named
    text = json.dumps(to_data(recipe))
    assert from_data(Recipe, json.loads(text)) == recipe
    assert to_data(from_data(Recipe, json.loads(text))) == json.loads(text)


def test_a_recipe_is_fit_to_run_on_one_process(named):
    named[1].check()


def test_a_recipe_names_its_paper_and_its_model(named):
    _, recipe = named
    assert "(20" in recipe.source
    assert title(recipe.model).startswith(("resnet", "timm/", "2 x resn", "Arch-Net of resn"))


def test_varying_every_value_to_what_it_is_changes_nothing(named):
    _, recipe = named
    settable = {path: value for path, value in leaves(recipe).items() if "kind" not in path}
    assert vary(recipe, settable) == recipe
    assert differences(recipe, vary(recipe, settable)) == {}


def test_only_recipes_that_bring_images_name_a_data_set_of_ours(named):
    name, recipe = named
    assert (recipe.phases[0].data.source == "digits") == RECIPES[name].has_data


def test_a_stored_recipe_is_found_as_a_file_and_as_a_run(tmp_path):
    recipe = vary(load("small"), {"seed": 7})
    (tmp_path / "run").mkdir()
    file = tmp_path / "run" / "recipe.json"
    file.write_text(json.dumps(to_data(recipe)), encoding="utf-8")
    assert find_recipe(file) == find_recipe(tmp_path / "run") == file
    assert load(file) == load(str(tmp_path / "run")) == recipe


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smal", "did you mean 'small'"),
        ("resnet-rs-50", "did you mean 'resnet-rs"),
        ("?", "one of"),
    ],
)
def test_an_unknown_name_offers_the_nearest(name, hint):
    with pytest.raises(NameLookupError, match=rf"unknown recipe .* {hint}"):
        load(name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (b"[]", r"is no recipe: .*expected the fields of Recipe"),
        (b'{"name": "x"}', "source is missing; it needs text"),
        (b'{"nmae": "x"}', "unknown key 'nmae'; did you mean 'name'"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_name(tmp_path, content, told):
    (tmp_path / "recipe.json").write_bytes(content)
    with pytest.raises(RecipeError, match=rf"recipe\.json .*{told}"):
        load(tmp_path)


def test_finding_a_recipe_imports_no_torch():
    code = (
        "import sys\nfrom vertebra.errors import VertebraError\n"
        "from vertebra.recipes.shelf import find_recipe, load\n"
        "find_recipe('resnet-rs')\n"
        "try: load('resnet-sr')\nexcept VertebraError as error: print(error)\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.stdout == "unknown recipe 'resnet-sr'; did you mean 'resnet-rs'?\nFalse\n"
