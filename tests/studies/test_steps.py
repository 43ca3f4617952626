"""The differences of two recipes as steps: their grouping, their names, and where they lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra.errors import RecipeError
from vertebra.models.convnext import ConvNeXtSpec
from vertebra.models.timm import TimmSpec
from vertebra.recipes.codec import to_data
from vertebra.recipes.shelf import RECIPES, load
from vertebra.recipes.vary import vary
from vertebra.studies.steps import (
    IGNORED,
    Step,
    Wanted,
    after,
    changes_between,
    climb,
    said_between,
    steps_between,
)

A = load("bag-of-tricks")
NAMED = [
    (name, recipe)
    for name, recipe in ((name, load(name)) for name in RECIPES)
    if not isinstance(recipe.model, TimmSpec)  # checking one reads timm
]


def asked(recipe):
    """Returns a recipe as data, without what is not asked about."""
    return {key: value for key, value in to_data(recipe).items() if key not in IGNORED}


def names(steps):
    return [step.name for step in steps]


def test_each_difference_is_a_step_by_its_path_and_both_values():
    b = vary(A, {"method.loss.smoothing": 0.2, "optimizer.weight_decay": 4e-5, "dropout": 0.25})
    assert names(steps_between(A, b)) == [
        "method.loss.smoothing 0.1 -> 0.2",
        "optimizer.weight_decay 0.0001 -> 4e-05",
        "dropout 0 -> 0.25",
    ]
    assert said_between(A, b) == names(steps_between(A, b))
    assert changes_between(A, b) == {
        "method.loss.smoothing": 0.2,
        "optimizer.weight_decay": 4e-5,
        "dropout": 0.25,
    }


def test_differences_that_belong_together_make_one_step():
    b = vary(
        A,
        {
            "data.batch_size": 512,
            "optimizer.lr": 0.2,
            "schedule.warmup": "1 epoch",
            "length": "9 epochs",
        },
    )
    assert [(step.name, sorted(step.changes)) for step in steps_between(A, b)] == [
        ("batch size and rate", ["data.batch_size", "optimizer.lr"]),
        ("length and warm-up", ["length", "schedule.warmup"]),
    ]
    grey = vary(A, {"data.preprocess": {"mean": [0.5], "std": [0.5], "channels": 1}})
    assert names(steps_between(A, grey)) == ["grey or colour"]
    alone = vary(A, {"data.batch_size": 512})
    assert names(steps_between(A, alone)) == ["data.batch_size 256 -> 512"]


def test_parts_in_a_list_are_told_by_their_kinds():
    b = vary(A, {"data.views": [{"augment": {"flip": 0.0}}, {}], "model.blocks": [1, 1, 1, 1]})
    assert names(steps_between(A, b)) == [
        "model.blocks [3, 4, 6, 3] -> [1, 1, 1, 1]",
        "data.views nothing -> [View, View]",
    ]


def test_a_part_of_another_kind_is_one_step():
    b = vary(A, {"model": ConvNeXtSpec(), "optimizer": {"kind": "AdamW", "lr": 0.004}})
    steps = steps_between(A, b)
    assert names(steps) == [
        "model ResNetSpec -> ConvNeXtSpec",
        "optimizer SGD -> AdamW",
    ]
    assert steps[1].changes["optimizer"]["lr"] == 0.004
    without = vary(A, {"data.augment.mixing": None})
    assert names(steps_between(A, without)) == ["data.augment.mixing Mixing -> nothing"]


@pytest.mark.parametrize(
    "changes",
    [{"seed": 3}, {"execution.workers": 7}, {"name": "b"}, {"expects.figure": "much"}],
)
def test_what_is_not_asked_about_is_no_difference(changes):
    with pytest.raises(RecipeError, match="the recipes do not differ"):
        steps_between(A, vary(A, changes))


def test_recipes_of_other_phases_cannot_be_compared():
    with pytest.raises(RecipeError, match="have 1 and 26 phases; compare recipes with as"):
        changes_between(A, load("arch-net"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("noise: dropout, model.drop_block", Wanted("noise", ("dropout", "model.drop_block"))),
        ("dropout", Wanted("dropout", ("dropout",))),
        ("dropout,model", Wanted("dropout and model", ("dropout", "model"))),
        ("a: b: model", Wanted("a: b", ("model",))),
    ],
)
def test_a_wanted_step_is_a_name_and_paths(text, wanted):
    assert Wanted.parse(text) == wanted


@pytest.mark.parametrize("text", ["", "noise:", "noise: ,"])
def test_a_wanted_step_without_a_path_is_refused(text):
    with pytest.raises(RecipeError, match="names no path; write name: path, path"):
        Wanted.parse(text)


def test_wanted_steps_come_first_in_their_order_and_take_all_below_their_paths():
    b = vary(
        A,
        {
            "model.form": "B",
            "model.width": 0.5,
            "method.loss.smoothing": 0.0,
            "data.batch_size": 512,
            "optimizer.lr": 0.2,
        },
    )
    wanted = [Wanted("rate", ("optimizer",)), Wanted("network", ("model", "method.loss"))]
    steps = steps_between(A, b, wanted)
    assert names(steps) == ["rate", "network", "data.batch_size 256 -> 512"]
    assert sorted(steps[1].changes) == ["method.loss.smoothing", "model.form", "model.width"]
    assert climb(A, steps)[-1] == b


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (("model.fom",), "nothing differs at model.fom; did you mean 'model.form'?"),
        (("dropout",), "nothing differs at dropout; choose one of model.form"),
        (("form",), "nothing differs at form"),
    ],
)
def test_a_wanted_step_in_which_nothing_differs_is_refused(paths, told):
    with pytest.raises(RecipeError) as refused:
        steps_between(A, vary(A, {"model.form": "B"}), [Wanted("it", paths)])
    assert f"step 'it': {told}" in str(refused.value)


def test_a_path_is_taken_by_one_wanted_step_only():
    b = vary(A, {"model.form": "B"})
    twice = [Wanted("one", ("model.form",)), Wanted("two", ("model",))]
    with pytest.raises(RecipeError, match="step 'two': nothing differs at model"):
        steps_between(A, b, twice)


def test_a_step_that_cannot_stand_by_itself_names_itself_and_the_way_out():
    b = vary(A, {"optimizer.momentum": 0.0, "optimizer.nesterov": False})
    with pytest.raises(RecipeError, match=r"step 'optimizer\.momentum 0\.9 -> 0' does not stand"):
        climb(A, steps_between(A, b))
    together = steps_between(A, b, [Wanted("plain", ("optimizer",))])
    assert names(together) == ["plain"]
    assert climb(A, together)[-1] == b


@pytest.mark.parametrize(
    ("path", "factor", "value"),
    [
        ("length", "x1.5", "300 epochs"),
        ("length", "x350/90", "777.7778 epochs"),
        ("schedule.warmup", "x2", "10 epochs"),
        ("optimizer.lr", "x0.5", 0.05),
        ("data.batch_size", "x1/2", 128),
        ("phases.0.length", "x2", "400 epochs"),
        ("length", "7 epochs", "7 epochs"),
    ],
)
def test_a_relative_change_is_that_of_the_recipe_it_meets(path, factor, value):
    assert after(A, Step("it", {path: factor})) == vary(A, {path: value})


def test_relative_lengths_are_exact_and_steps_stay_whole():
    ninety = vary(A, {"length": "90 epochs"})
    assert str(after(ninety, Step("it", {"length": "x350/90"})).phases[0].length) == "350 epochs"
    seven = vary(A, {"length": "7 steps", "schedule.warmup": "0 steps"})
    assert str(after(seven, Step("it", {"length": "x1.5"})).phases[0].length) == "10 steps"


@pytest.mark.parametrize(
    ("path", "told"),
    [("lenght", "unknown key 'lenght'; did you mean 'length'?"), ("model.form", "model.form='x2'")],
)
def test_a_relative_change_of_what_has_no_size_is_refused(path, told):
    with pytest.raises(RecipeError, match="step 'it' does not stand by itself") as refused:
        after(A, Step("it", {path: "x2"}))
    assert told in str(refused.value)


@given(st.sampled_from(NAMED), st.sampled_from(NAMED))
def test_all_steps_from_one_recipe_lead_to_the_other(a, b):
    (name, a), (other, b) = a, b
    if name == other or len(a.phases) != len(b.phases):
        with pytest.raises(RecipeError):
            steps_between(a, b)
        return
    assert asked(vary(a, changes_between(a, b))) == asked(b)
    try:
        reached = climb(a, steps_between(a, b))[-1]
    except RecipeError as error:
        assert "does not stand by itself" in str(error)
    else:
        assert asked(reached) == asked(b)
