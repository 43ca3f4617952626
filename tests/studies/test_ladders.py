"""The published ladders: they lead to the recipes of their papers and have the papers' figures."""

import json
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests.studies.made import OWN_LADDER

from vertebra.errors import NameLookupError, RecipeError
from vertebra.models.convnext_ladder import LADDER
from vertebra.models.resnest import NAMED as RESNEST
from vertebra.models.resnet import NAMED as RESNET
from vertebra.recipes.codec import to_data
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import differences, vary
from vertebra.studies.ladder import load_ladder
from vertebra.studies.shelf import LADDERS
from vertebra.studies.steps import climb

PUBLISHED = {
    "resnet-rs": (79.0, 79.3, 78.8, 79.1, 80.4, 80.6, 81.0, 80.7, 82.2, 82.9, 83.4),
    "bag-of-tricks": (75.87, 76.03, 76.19, 76.66, 76.87, 77.16, 77.91, 78.31, 79.15),
    "resnest": (78.31, 79.15, 79.41, 80.64, 81.13),
    "convnext": (
        *(76.13, 78.82, 79.36, 79.51, 78.28, 80.50, 80.64, 79.92, 80.35, 80.57),
        *(80.62, 81.27, 81.41, 81.47, 81.97),
    ),
}
ROOT = Path(__file__).resolve().parents[2]
KEPT = [step.tiny for step in LADDER if step.is_kept]


def climbed(name, *, is_small=False):
    """Returns the recipe of each row of a ladder."""
    ladder = load_ladder(name, is_small=is_small)
    return [ladder.base, *climb(ladder.base, ladder.steps)]


def part(name, wanted):
    """Returns the paper's gain over all steps of a part, in points."""
    ladder = load_ladder(name, is_small=False)
    rows = [ladder.begins, *ladder.steps]
    gains = [
        after.published - before.published
        for before, after in pairwise(rows)
        if after.part == wanted
    ]
    return 100 * sum(gains)


def test_the_shelf_lists_the_files():
    folder = files("vertebra.studies").joinpath("ladders")
    assert sorted(f"{name}.json" for name in LADDERS) == sorted(
        each.name for each in folder.iterdir()
    )


@pytest.mark.parametrize("is_small", [True, False], ids=["small", "full"])
@pytest.mark.parametrize("name", LADDERS)
def test_every_row_can_run_and_its_network_builds(name, is_small):
    recipes = climbed(name, is_small=is_small)
    for before, recipe in pairwise(recipes):
        recipe.check()
        assert differences(before, recipe), "the step changes nothing"
    with torch.device("meta"):
        for model in {recipe.model for recipe in recipes}:
            model.build(3)


@pytest.mark.parametrize("name", LADDERS)
def test_the_paper_prints_these_figures(name):
    ladder = load_ladder(name, is_small=False)
    printed = [step.published for step in (ladder.begins, *ladder.steps)]
    assert printed == pytest.approx([figure / 100 for figure in PUBLISHED[name]], abs=1e-9)
    assert ladder.source and ladder.scale and ladder.note


@pytest.mark.parametrize(
    ("name", "of", "gain"),
    [
        ("resnet-rs", "training", 3.2),
        ("resnet-rs", "architecture", 1.2),
        ("bag-of-tricks", "architecture", 77.16 - 76.19),
        ("bag-of-tricks", "refinements", 79.15 - 77.16),
        ("resnest", "architecture", 81.13 - 79.41),
        ("convnext", "training", 2.69),
        ("convnext", "architecture", 3.15),
    ],
)
def test_the_steps_of_a_part_sum_to_what_the_paper_says_of_it(name, of, gain):
    assert part(name, of) == pytest.approx(gain)


@pytest.mark.parametrize(
    ("name", "recipe"), [("resnet-rs", "resnet-rs-200-256"), ("bag-of-tricks", "bag-of-tricks")]
)
def test_the_top_of_a_ladder_is_the_recipe_of_its_paper(name, recipe):
    assert climbed(name)[-1] == load(recipe)


def test_resnet_rs_begins_as_a_plain_resnet():
    first = climbed("resnet-rs")[0]
    assert first.model == replace(
        RESNET["resnet50"], blocks=(3, 24, 36, 3), stochastic_depth_rule="stage"
    )
    phase = first.phases[0]
    assert (str(phase.length), phase.optimizer.weight_decay, phase.averaging) == (
        "90 epochs",
        1e-4,
        None,
    )


def test_bag_of_tricks_begins_as_the_baseline_but_for_what_all_rows_have():
    found = differences(load("baseline"), climbed("bag-of-tricks")[0])
    always = ("data.augment.jitter", "optimizer.nesterov", "source", "expects", "name")
    assert [path for path in found if not path.startswith(always)] == []


def test_resnest_goes_from_resnet_d_over_the_fast_network_to_resnest():
    models = [recipe.model for recipe in climbed("resnest")]
    assert models[0] == models[2] == RESNET["resnet50d"]
    for model, name in ((models[3], "resnest50_fast_2s1x64d"), (models[4], "resnest50")):
        assert model == replace(RESNEST[name], drop_block=0.1)


def test_convnext_has_the_kept_rungs_and_their_figures():
    ladder = load_ladder("convnext", is_small=False)
    recipes = climb(ladder.base, ladder.steps)
    assert ladder.base.model == KEPT[0].spec
    for step, recipe, rung in zip(ladder.steps, recipes, KEPT, strict=True):
        assert recipe.model == replace(rung.spec, stochastic_depth=0.1), step.name
        assert step.published == rung.published.top1, step.name


@pytest.mark.parametrize("is_small", [True, False], ids=["small", "full"])
@pytest.mark.parametrize(
    ("name", "share"),
    [("resnet-rs", 350 / 90), ("bag-of-tricks", 200 / 120), ("convnext", 300 / 90)],
)
def test_the_last_row_is_as_much_longer_as_in_the_paper(name, share, is_small):
    recipes = climbed(name, is_small=is_small)
    first, last = (recipe.phases[0].length.value for recipe in (recipes[0], recipes[-1]))
    assert last / first == pytest.approx(share, rel=1e-4)


@pytest.mark.parametrize("name", LADDERS)
def test_a_small_ladder_is_one_for_a_laptop(name):
    for recipe in climbed(name, is_small=True):
        phase = recipe.phases[0]
        assert phase.length.value <= 20 and phase.data.batch_size == 64
        assert phase.data.preprocess.image_size <= 96 and recipe.model.width == 0.25


@pytest.fixture
def own(tmp_path):
    """Writes a ladder with changes at its top, and returns its path."""

    def write(**changes):
        path = tmp_path / "own.json"
        path.write_text(json.dumps({**OWN_LADDER, **changes}), encoding="utf-8")
        return str(path)

    return write


def test_a_ladder_of_ones_own_is_a_file(own):
    ladder = load_ladder(own(), is_small=True)
    assert climb(ladder.base, ladder.steps) == [load("digits")]
    assert (ladder.begins.name, ladder.begins.published, ladder.note) == ("plain", None, "")


def test_small_changes_stand_in_for_those_of_the_same_path_only(own):
    step = {"name": "+", "changes": {"dropout": 0.2, "seed": 1}, "small": {"dropout": 0.1}}
    path = own(steps=[step], small={"length": "1 epoch"})
    small, full = (load_ladder(path, is_small=is_small) for is_small in (True, False))
    assert small.steps[0].changes == {"dropout": 0.1, "seed": 1}
    assert full.steps[0].changes == {"dropout": 0.2, "seed": 1}
    assert small.base == vary(full.base, {"length": "1 epoch"})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"step": []}, "unknown key 'step'; did you mean 'steps'?"),
        ({"begins": {"nme": "plain"}}, "unknown key 'nme'; did you mean 'name'?"),
        ({"begins": {"published": 0.5}}, "it has no 'name'"),
        ({"begins": {"name": "plain", "published": 79.0}}, "published=79.0 of 'plain'; give a sh"),
        ({"from": {"dropuot": 0.0}}, "unknown key 'dropuot'; did you mean 'dropout'?"),
        ({"recipe": 3}, "is no ladder"),
        ({"steps": 3}, "is no ladder"),
    ],
)
def test_a_file_that_is_no_ladder_is_refused_by_its_name(own, changes, told):
    with pytest.raises(RecipeError, match=r"own\.json is no ladder") as refused:
        load_ladder(own(**changes), is_small=True)
    assert told in str(refused.value)


def test_a_file_without_json_and_a_name_on_no_shelf_are_refused(tmp_path):
    path = tmp_path / "own.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RecipeError, match="is no ladder: Expecting property name"):
        load_ladder(str(path), is_small=True)
    with pytest.raises(NameLookupError, match="unknown ladder 'resnetrs'; did you mean 'resnet-r"):
        load_ladder("resnetrs", is_small=True)


def test_the_ladder_in_the_documents_is_one(tmp_path):
    text = (ROOT / "docs/studies/ablate.md").read_text(encoding="utf-8")
    path = tmp_path / "own.json"
    path.write_text(text.partition("```json\n")[2].partition("```")[0], encoding="utf-8")
    ladder = load_ladder(str(path), is_small=False)
    assert climb(ladder.base, ladder.steps)[-1] == load("bag-of-tricks")


def test_loading_leaves_the_recipes_of_the_shelf_alone():
    before = to_data(load("bag-of-tricks"))
    climbed("bag-of-tricks", is_small=True)
    assert to_data(load("bag-of-tricks")) == before
