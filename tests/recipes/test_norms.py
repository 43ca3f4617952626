"""The recipe of a run with other norms says all that its weights need to be found and rebuilt."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.recipes.drawn import SMALLEST, tiny
from torch import nn

from vertebra.duration import steps
from vertebra.errors import RecipeError
from vertebra.layers.norm import GroupNormSpec
from vertebra.models.bit import BiTSpec
from vertebra.models.classifier import build_classifier
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.norms import group_normed, operated, shortened
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import differences

NORM = GroupNormSpec(channels_per_group=4)
RECIPE = tiny(Path("album"))


def test_only_norms_rate_and_origin_change(tmp_path):
    recipe = group_normed(RECIPE, tmp_path, norm=NORM, standardise=True)
    changed = differences(RECIPE, recipe)
    assert changed.pop("optimizer.lr") == (0.1, pytest.approx(0.01))
    assert {path.split(".")[0] for path in changed} == {"source", "model", "pretrained"}
    assert (recipe.model.norm, recipe.model.standardised) == (NORM, True)
    assert recipe.pretrained.weights == str(tmp_path)
    assert recipe.source == "drawn; then group norm, 4 channels a group, Group Normalization (2018)"
    assert from_data(Recipe, to_data(recipe)) == recipe


def test_a_recipe_names_its_start_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = group_normed(RECIPE, Path("run"), norm=NORM)
    assert recipe.pretrained.weights == str(tmp_path / "run")


def test_filters_that_were_standardised_stay_so(tmp_path):
    before = replace(RECIPE, model=replace(SMALLEST, standardised=True))
    assert group_normed(before, tmp_path, norm=NORM).model.standardised


def test_a_model_that_cannot_say_its_norm_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="is a BiTSpec, which has no field for its norm"):
        group_normed(replace(RECIPE, model=BiTSpec()), tmp_path, norm=NORM)


def test_a_model_with_group_norms_is_refused(tmp_path):
    recipe = group_normed(RECIPE, tmp_path, norm=NORM)
    with pytest.raises(RecipeError, match="has no batch norms; there is nothing to replace"):
        group_normed(recipe, tmp_path, norm=NORM)


def test_a_short_recipe_is_the_last_phase_on_a_cosine():
    first, last = RECIPE.phases[0], replace(RECIPE.phases[0], length=steps(7))
    short = shortened(replace(RECIPE, phases=(first, last)), 40)
    (phase,) = short.phases
    assert phase.length == steps(40)
    assert phase.schedule.warmup == steps(4)
    assert phase.optimizer == last.optimizer
    assert phase.data == last.data
    assert shortened(RECIPE, 5, lr=0.5).phases[0].optimizer.lr == 0.5


def norms(model: nn.Module) -> set[type[nn.Module]]:
    return {
        type(each) for each in model.modules() if isinstance(each, nn.BatchNorm2d | nn.GroupNorm)
    }


def test_a_model_is_operated_on_where_norms_are_all_that_differs():
    torch.manual_seed(0)
    model = build_classifier(SMALLEST, classes=3)
    for after in (replace(SMALLEST, norm=NORM), replace(SMALLEST, norm=NORM, standardised=True)):
        found = operated(model, SMALLEST, after)
        assert norms(found) == {nn.GroupNorm}
        assert repr(found.backbone) == repr(after.build())
    assert norms(model) == {nn.BatchNorm2d}


def test_a_model_is_left_alone_where_more_or_nothing_differs():
    model = build_classifier(SMALLEST, classes=3)
    normed = replace(SMALLEST, norm=NORM)
    for before, after in (
        (SMALLEST, SMALLEST),
        (SMALLEST, replace(normed, width=0.25)),
        (SMALLEST, replace(SMALLEST, standardised=True)),
        (normed, SMALLEST),
        (normed, replace(normed, norm=GroupNormSpec())),
        (SMALLEST, BiTSpec()),
        (BiTSpec(), normed),
    ):
        assert operated(model, before, after) is model
