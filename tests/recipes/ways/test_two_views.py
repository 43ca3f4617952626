"""Any recipe made to pretrain, by BYOL or SimCLR."""

import pytest

from vertebra.data.augment import Augment
from vertebra.data.crops import PadCrop, RandomResizedCrop
from vertebra.data.unlabelled import Unlabelled
from vertebra.engine.optimizers import LARS, AdamW
from vertebra.errors import RecipeError
from vertebra.methods.byol import BYOLSpec
from vertebra.methods.simclr import SimCLRSpec
from vertebra.models.shelf import find_spec
from vertebra.recipes.byol import versions
from vertebra.recipes.shelf import RECIPES, load
from vertebra.recipes.simclr import version
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes


def adapted(recipe, method="byol"):
    return learn(recipe, method, Wishes()).recipe


def test_a_small_recipe_gets_the_small_settings_and_keeps_its_length_crop_and_flips():
    before = load("small")
    recipe, notes = learn(before, "byol", Wishes())
    phase = recipe.phases[0]
    assert phase.method == BYOLSpec(hidden=1024, tau=0.99)
    assert phase.optimizer == LARS(lr=0.25, weight_decay=1e-5, trust=0.02)
    assert phase.length == before.phases[0].length
    assert phase.schedule == before.phases[0].schedule
    first, second = versions(RandomResizedCrop(scale=(0.25, 1.0)), blurs=False)
    assert phase.data.augment == first
    assert [view.augment for view in phase.data.views] == [second]
    assert phase.averaging is None
    assert recipe.selection.keep == "last"
    assert notes == (
        "method: byol, on two versions of each image, without labels; where there are classes a "
        "linear probe learns them beside it",
        "data.augment: as published for it, with the recipe's flips and random crop",
        "optimizer: SGD -> LARS, lr 0.25",
        "averaging: left out",
        "selection.keep: best -> last, as no label may choose",
    )


def test_simclr_changes_both_versions_alike():
    phase = adapted(load("small"), "simclr").phases[0]
    augment = version(RandomResizedCrop(scale=(0.25, 1.0)), blurs=False)
    assert phase.data.augment == augment
    assert [view.augment for view in phase.data.views] == [augment]
    assert phase.method == SimCLRSpec(hidden=1024, projection=256, temperature=0.2)


@pytest.mark.parametrize(
    ("length", "lr", "weight_decay", "tau"), [(90, 7.2, 1e-6, 0.99), (350, 3.2, 1.5e-6, 0.996)]
)
def test_a_large_recipe_gets_the_rate_and_tau_of_its_length(length, lr, weight_decay, tau):
    before = vary(load("resnet-rs"), {"length": f"{length} epochs", "dropout": 0.25})
    recipe, notes = learn(before, "byol", Wishes())
    phase = recipe.phases[0]
    assert phase.method == BYOLSpec(tau=tau)
    assert phase.optimizer == LARS(lr=lr, weight_decay=weight_decay)
    assert phase.data.augment.blur is not None
    assert recipe.dropout == 0
    assert "dropout: 0.25 -> 0, as the probe has none" in notes


def test_a_crop_that_leaves_little_to_compare_is_replaced_and_flips_stay():
    before = vary(load("small"), {"data.augment": Augment(crop=PadCrop(), flip=0.0)})
    for method in ("byol", "simclr"):
        data = adapted(before, method).phases[0].data
        for augment in (data.augment, data.views[0].augment):
            assert augment.crop == RandomResizedCrop()
            assert augment.flip == 0


@pytest.mark.parametrize("name", ["convnext_tiny", "levit_128s", "timm/vit_tiny_patch16_224"])
@pytest.mark.parametrize("recipe", ["small", "byol-small"])
def test_a_network_that_only_adamw_trains_gets_it_at_a_rate_that_it_bears(name, recipe):
    before, _ = suit(load(recipe), find_spec(name))
    for method in ("byol", "simclr"):
        optimizer = adapted(before, method).phases[0].optimizer
        assert isinstance(optimizer, AdamW)
        assert optimizer.lr <= 3e-4


def test_a_rate_that_was_given_to_adamw_stays():
    before, _ = suit(load("byol-small"), find_spec("levit_128s"))
    before = vary(adapted(before), {"optimizer.lr": 1e-4})
    assert adapted(before) == before


@pytest.mark.parametrize("name", ["byol", "byol-100", "byol-small"])
def test_a_recipe_that_pretrains_so_already_stays(name):
    assert learn(load(name), "byol", Wishes()) == (load(name), ())


def test_a_recipe_that_pretrains_otherwise_is_changed():
    assert isinstance(adapted(load("simclr"), "byol").phases[0].method, BYOLSpec)


@pytest.mark.parametrize("method", ["byol", "simclr"])
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_that_learns_from_its_source_can_be_made_to_pretrain(name, method):
    recipe = load(name)
    made = adapted(recipe, method)
    if all(phase.data.learn_from is None for phase in recipe.phases):
        made.check()
    else:
        with pytest.raises(RecipeError, match="make them the source"):
            made.check()


@pytest.mark.parametrize("method", ["byol", "simclr"])
@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"teachers": ("run",)}, "--teacher"),
        ({"unlabelled": Unlabelled(source="x")}, "--unlabelled"),
        ({"learn_from": Unlabelled(source="x")}, "--from"),
    ],
)
def test_what_it_has_no_use_for_is_refused(method, given, flag):
    with pytest.raises(RecipeError, match=f"{flag} is of no use to the method {method}"):
        learn(load("small"), method, Wishes(**given))
