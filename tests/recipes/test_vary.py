"""Changing a recipe by path, and listing where two differ."""

import dataclasses
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra.engine.averaging import Averaging
from vertebra.engine.optimizers import LARS, SGD, AdamW
from vertebra.errors import RecipeError
from vertebra.models.resnet import NAMED
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import differences, full_path, leaves, parse_setting, short_path, vary

SMALL = load("small")
TWO = replace(SMALL, phases=(SMALL.phases[0], SMALL.phases[0]))

# path -> values that differ from those of the recipe
CHANGES = {
    "seed": st.integers(1, 99),
    "dropout": st.sampled_from([0.1, 0.3, 0.5]),
    "model.width": st.sampled_from([0.5, 1.0, 2.0]),
    "optimizer.lr": st.floats(0.2, 1.0),
    "optimizer.weight_decay": st.sampled_from([0.0, 1e-5]),
    "length": st.integers(41, 400).map("{} epochs".format),
    "data.batch_size": st.sampled_from([8, 16, 128]),
    "data.augment.flip": st.sampled_from([0.0, 0.1]),
    "averaging.decay": st.sampled_from([0.5, 0.9]),
    "execution.workers": st.integers(0, 4),
}
changes = st.fixed_dictionaries({}, optional=CHANGES)


@given(changes)
def test_the_differences_are_exactly_the_changes(changes):
    found = differences(SMALL, vary(SMALL, changes))
    assert {path: after for path, (_, after) in found.items()} == changes
    assert {path: before for path, (before, _) in found.items()} == {
        path: leaves(SMALL)[path] for path in changes
    }


@given(changes, changes)
def test_changes_made_one_after_the_other_are_changes_made_at_once(first, second):
    assert vary(vary(SMALL, first), second) == vary(SMALL, {**first, **second})


@given(changes)
def test_changing_back_gives_the_recipe_again(changes):
    back = {path: leaves(SMALL)[path] for path in changes}
    assert vary(vary(SMALL, changes), back) == SMALL


def test_no_change_is_the_same_recipe():
    assert vary(SMALL, {}) == SMALL


def test_paths_of_the_only_phase_may_leave_it_out():
    assert vary(SMALL, {"phases.0.optimizer.lr": 1.0}) == vary(SMALL, {"optimizer.lr": 1.0})
    assert full_path(SMALL, "optimizer.lr") == "phases.0.optimizer.lr"
    assert short_path(SMALL, "phases.0.optimizer.lr") == "optimizer.lr"
    assert full_path(SMALL, "model.width") == short_path(SMALL, "model.width") == "model.width"


def test_of_several_phases_each_is_named():
    varied = vary(TWO, {"phases.1.optimizer.lr": 0.5})
    assert [phase.optimizer.lr for phase in varied.phases] == [0.1, 0.5]
    assert differences(TWO, varied) == {"phases.1.optimizer.lr": (0.1, 0.5)}
    with pytest.raises(
        RecipeError, match=r"'optimizer\.lr'; did you mean 'phases\.0\.optimizer\.l"
    ):
        vary(TWO, {"optimizer.lr": 0.5})
    with pytest.raises(RecipeError, match=r"^phases\.1\.data: batch_size=0; give at least 1"):
        vary(TWO, {"phases.1.data.batch_size": 0})


@pytest.mark.parametrize(
    "value", [AdamW(lr=0.001), {"kind": "AdamW", "lr": 0.001}], ids=["part", "data"]
)
def test_a_part_is_replaced_as_a_whole(value):
    assert vary(SMALL, {"optimizer": value}).phases[0].optimizer == AdamW(lr=0.001)


@pytest.mark.parametrize("kind", [AdamW, LARS, SGD])
def test_a_kind_by_its_name_takes_the_changes_inside_it(kind):
    for given_changes in (
        {"optimizer": kind.__name__, "optimizer.lr": 0.02, "optimizer.weight_decay": 0.01},
        {"optimizer.weight_decay": 0.01, "optimizer.lr": 0.02, "optimizer": kind.__name__},
    ):
        found = vary(SMALL, given_changes).phases[0].optimizer
        assert found == kind(lr=0.02, weight_decay=0.01)


def test_a_whole_part_comes_before_what_is_inside_it_in_any_order():
    changes = {"model.width": 0.25, "model": NAMED["resnet18"]}
    assert vary(SMALL, changes).model == replace(NAMED["resnet18"], width=0.25)


def test_null_takes_a_part_away_and_a_part_can_come_back():
    without = vary(SMALL, {"averaging": None})
    assert without.phases[0].averaging is None
    assert vary(without, {"averaging": Averaging(decay=0.999)}) == SMALL
    assert vary(without, {"averaging": "Averaging"}).phases[0].averaging == Averaging()


def test_a_list_is_one_value():
    varied = vary(SMALL, {"model.blocks": [1, 1, 1, 1]})
    assert varied.model.blocks == (1, 1, 1, 1)
    assert differences(SMALL, varied) == {"model.blocks": ([2, 2, 2, 2], [1, 1, 1, 1])}
    assert vary(SMALL, {"model.blocks.0": 5}).model.blocks == (5, 2, 2, 2)


def test_the_original_stays_as_it_is():
    before = dataclasses.asdict(SMALL)
    vary(SMALL, {"model.blocks.0": 5, "optimizer.lr": 3.0})
    assert dataclasses.asdict(SMALL) == before


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("optimizer.lrr", r"unknown key 'optimizer\.lrr'; did you mean 'lr'"),
        ("optimzer.lr", r"unknown key 'optimzer\.lr'; did you mean 'optimizer\.lr'"),
        ("weight_decay", r"unknown key 'weight_decay'; did you mean 'optimizer\.weight_decay'"),
        ("modle.depht", r"unknown key 'modle\.depht'; did you mean 'model'"),
        ("sede", r"unknown key 'sede'; did you mean 'seed'"),
        ("nothing.like.it", r"unknown key 'nothing\.like\.it'; choose one of accumulate, "),
        ("length.value", r"leads into length='30 epochs'; set length as a whole"),
        ("phases.7.length", r"leads into phases=.*; set phases as a whole"),
        ("", r"unknown key ''"),
    ],
)
def test_an_unknown_path_offers_the_nearest(path, told):
    with pytest.raises(RecipeError, match=told):
        vary(SMALL, {path: 1})


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("optimizer.lr", "abc", r"^optimizer\.lr='abc' is text; expected a number"),
        ("data.batch_size", 0, r"^data: batch_size=0; give at least 1"),
        ("optimizer", "Adam", r"^optimizer\.kind is 'Adam'; did you mean 'AdamW'"),
        ("accumulate", 7, r"accumulate=7 does not divide batch_size=64"),
        ("length", "0 epochs", r"^length=0 epochs; give a duration above zero"),
    ],
)
def test_a_value_that_does_not_fit_is_told_by_its_short_path(path, value, told):
    with pytest.raises(RecipeError, match=told):
        vary(SMALL, {path: value})


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("optimizer.lr=0.1", "optimizer.lr", 0.1),
        ("length=5 epochs", "length", "5 epochs"),
        ("averaging=null", "averaging", None),
        ("model.blocks=[1, 2, 3, 4]", "model.blocks", [1, 2, 3, 4]),
        ("name=a=b", "name", "a=b"),
        ("execution.compile=true", "execution.compile", True),
    ],
)
def test_a_setting_is_read_as_json_or_taken_as_text(text, path, value):
    assert parse_setting(text) == (path, value)


@pytest.mark.parametrize("text", ["optimizer.lr", "=3", ""])
def test_a_setting_without_path_or_value_is_refused(text):
    with pytest.raises(RecipeError, match="has no value; write path=value"):
        parse_setting(text)
