"""Any recipe made to learn from itself on mixed images."""

from dataclasses import replace

import pytest

from vertebra.data.mixing import Mixing
from vertebra.errors import RecipeError
from vertebra.methods.mixskd import MixSKDSpec
from vertebra.recipes.shelf import RECIPES, load
from vertebra.recipes.vary import differences, vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

TWICE = "method: each image passes mixed as well, and branches learn beside the model"
UNMIXED = "data.augment.mixing: left out, since mixskd mixes images itself"
CLIPPED = "clip_norm: none -> 5, or the self-teacher may diverge"
PLAIN = "method.loss: left out, since mixskd takes plain cross-entropy"


def test_nothing_but_the_method_and_the_mixing_changes_and_each_is_told():
    before = load("bag-of-tricks")
    recipe, notes = learn(before, "mixskd", Wishes())
    phase = recipe.phases[0]
    assert phase.method == MixSKDSpec()
    assert phase.data.augment.mixing is None
    changed = {path.removeprefix("phases.0.") for path in differences(before, recipe)}
    assert {path.split(".")[0] for path in changed} == {"method", "data", "clip_norm"}
    assert all(path.startswith(("method", "data.augment.mixing", "clip_norm")) for path in changed)
    assert notes == (PLAIN, UNMIXED, CLIPPED, TWICE)


def test_a_recipe_that_clips_gradients_keeps_its_norm():
    before = vary(load("baseline"), {"clip_norm": 1.0})
    recipe, notes = learn(before, "mixskd", Wishes())
    assert recipe.phases[0].clip_norm == 1
    assert notes == (TWICE,)


@pytest.mark.parametrize("name", RECIPES)
def test_the_result_suits_itself(name):
    try:
        made = learn(load(name), "mixskd", Wishes()).recipe
    except RecipeError as refusal:
        assert "is supervised; choose a recipe that is" in str(refusal)
    else:
        made.check()


def test_each_supervised_phase_learns_so_and_one_that_already_does_stays():
    plain = load("bag-of-tricks").phases[0]
    already = load("mixskd").phases[0]
    before = replace(load("bag-of-tricks"), phases=(plain, already, plain))
    made = learn(before, "mixskd", Wishes()).recipe
    assert [phase.method for phase in made.phases] == [MixSKDSpec(), already.method, MixSKDSpec()]
    assert learn(load("mixskd"), "mixskd", Wishes()) == (load("mixskd"), ())


def test_what_it_cannot_use_is_refused():
    with pytest.raises(RecipeError, match="--teacher is of no use to the method mixskd"):
        learn(load("small"), "mixskd", Wishes(teachers=("run",)))


def test_a_recipe_that_mixes_images_beforehand_is_refused_before_any_is_read():
    recipe = vary(load("mixskd"), {"data.augment.mixing": Mixing(cutmix=1.0)})
    with pytest.raises(RecipeError, match="mixskd mixes images itself and needs their own"):
        recipe.check()


def test_a_recipe_without_labels_to_learn_from_is_refused():
    recipe = load("cosub")
    with pytest.raises(RecipeError, match="no phase of recipe 'cosub' is supervised"):
        learn(recipe, "mixskd", Wishes())
