"""Recipes as plain data: what is read back is what was written, and what does not fit is named."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra.data.preprocess import Preprocess
from vertebra.duration import Duration
from vertebra.engine.optimizers import LARS, SGD, AdamW, OptimizerSpec
from vertebra.engine.schedules import Cosine, ScheduleSpec, StepDecay
from vertebra.errors import RecipeError
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.recipe import Recipe, Selection
from vertebra.recipes.shelf import load

rates = st.floats(1e-6, 10.0)
shares = st.floats(0.0, 0.99)
durations = st.builds(
    Duration, st.integers(0, 10**6).map(float), st.sampled_from(["epochs", "steps"])
)
optimizers = st.one_of(
    st.builds(SGD, lr=rates, momentum=st.floats(0.1, 0.99), weight_decay=shares),
    st.builds(AdamW, lr=rates, betas=st.tuples(shares, shares), weight_decay=shares),
    st.builds(LARS, lr=rates),
)
schedules = st.one_of(
    st.builds(Cosine, warmup=durations),
    st.builds(
        StepDecay,
        milestones=st.lists(st.one_of(st.floats(0.01, 0.99), durations), max_size=4).map(tuple),
        warmup=durations,
    ),
)


@given(optimizer=optimizers)
def test_an_optimizer_survives_json(optimizer):
    assert from_data(OptimizerSpec, json.loads(json.dumps(to_data(optimizer)))) == optimizer


@given(schedule=schedules)
def test_a_schedule_survives_json(schedule):
    assert from_data(ScheduleSpec, json.loads(json.dumps(to_data(schedule)))) == schedule


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
)


@given(anything)
def test_any_json_is_a_recipe_or_a_recipe_error(data):
    with pytest.raises(RecipeError):
        from_data(Recipe, data)


def test_data_begin_with_the_kind_and_hold_every_field():
    assert to_data(SGD(lr=0.5)) == {
        "kind": "SGD",
        "lr": 0.5,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 1e-4,
    }


def test_a_bare_name_is_the_kind_with_its_defaults():
    assert from_data(ScheduleSpec, "Cosine", path="schedule") == Cosine()


def test_the_kind_may_be_left_out_where_only_one_is_possible():
    assert from_data(Preprocess, {"image_size": 32}) == Preprocess(image_size=32)


def test_whole_numbers_are_read_where_a_number_is_wanted_but_not_the_other_way():
    assert from_data(SGD, {"lr": 1}) == SGD(lr=1.0)
    with pytest.raises(RecipeError, match=r"image_size=32\.0 is a number; expected a whole number"):
        from_data(Preprocess, {"image_size": 32.0})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"kind": "SGD", "lr": "abc"}, r"optimizer\.lr='abc' is text; expected a number"),
        ({"kind": "SGD", "lr": True}, r"optimizer\.lr=True is true or false; expected a number"),
        ({"kind": "SGD", "lr": None}, r"optimizer\.lr=None is null; expected a number"),
        ({"kind": "SGD"}, r"optimizer\.lr is missing; it needs a number"),
        ({"kind": "SGD", "lr": 0.1, "momentun": 1}, r"'optimizer\.momentun'; did you mean 'mom"),
        ({"kind": "Adam", "lr": 0.1}, r"optimizer\.kind is 'Adam'; did you mean 'AdamW'"),
        ({"kind": ["SGD"]}, r"optimizer\.kind is \['SGD'\]; "),
        ({"kind": "SGD", "lr": -1.0}, r"optimizer: SGD lr=-1\.0; give a finite number"),
        (
            {"kind": "AdamW", "lr": 0.1, "betas": [0.9]},
            r"optimizer\.betas has 1 values; expected 2",
        ),
        ({"kind": "AdamW", "lr": 0.1, "betas": 0.9}, r"optimizer\.betas=0\.9; expected a list"),
        (3, r"optimizer=3; give one of SGD, AdamW, LARS with its fields"),
        (None, r"optimizer is null; a value is needed"),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(data, told):
    with pytest.raises(RecipeError, match=told):
        from_data(SGD | AdamW | LARS, data, path="optimizer")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"keep": "bets"}, r"keep='bets'; did you mean 'best'"),
        ({"every": "soon"}, r"duration is 'soon'; write it like '90 epochs'"),
        ({"every": "0 epochs"}, r"selection every 0 epochs; give a duration above zero"),
    ],
)
def test_choices_and_durations_are_read_strictly(data, told):
    with pytest.raises(RecipeError, match=told):
        from_data(Selection, data, path="selection")


def test_a_number_may_be_absent_only_where_none_is_allowed():
    data = to_data(load("digits"))
    data["phases"][0]["clip_norm"] = 1
    assert from_data(Recipe, data).phases[0].clip_norm == 1.0
    data["phases"][0]["clip_norm"] = "much"
    with pytest.raises(RecipeError, match=r"phases\.0\.clip_norm='much' is text; expected a numb"):
        from_data(Recipe, data)
    data["phases"] = None
    with pytest.raises(RecipeError, match=r"phases=None; expected a list"):
        from_data(Recipe, data)


def test_a_text_field_of_one_kind_of_dataclass_takes_its_name():
    @dataclass(frozen=True)
    class Only:
        size: int = 3

    assert from_data(Only | None, "Only") == Only()
    assert from_data(Only | None, None) is None
