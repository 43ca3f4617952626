"""A model that never learnt with plain SGD gets AdamW, and that is told."""

import pytest

from vertebra.engine.optimizers import SGD, AdamW
from vertebra.models.shelf import find_spec
from vertebra.models.timm import TimmSpec
from vertebra.recipes.shelf import load
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import differences


@pytest.mark.parametrize("name", ["convnext_tiny", "convnext_ladder_t13_one_norm", "levit_128s"])
def test_networks_of_the_adaptive_kind_get_adamw_at_the_published_rate(name):
    recipe, notes = suit(load("small"), find_spec(name))
    phase = recipe.phases[0]
    assert isinstance(phase.optimizer, AdamW)
    assert phase.optimizer.lr == pytest.approx(4e-3 * (phase.data.batch_size / 4096) ** 0.5)
    assert phase.optimizer.weight_decay == 0.05
    assert notes == ("optimizer: SGD -> AdamW, as networks of this kind are trained",)


def test_so_do_the_models_of_timm():
    recipe, _ = suit(load("baseline"), TimmSpec(name="vit_tiny_patch16_224"))
    assert isinstance(recipe.phases[0].optimizer, AdamW)


def test_residual_networks_keep_what_the_recipe_says():
    recipe, notes = suit(load("small"), find_spec("resnest50"))
    assert isinstance(recipe.phases[0].optimizer, SGD)
    assert notes == ()
    assert all(path.startswith("model") for path in differences(load("small"), recipe))


def test_an_adaptive_optimizer_of_the_recipe_stays():
    before = load("finetune")
    recipe, notes = suit(before, find_spec("convnext_tiny"))
    assert recipe.phases[0].optimizer == before.phases[0].optimizer
    assert notes == ()
