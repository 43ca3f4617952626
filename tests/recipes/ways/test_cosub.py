import pytest

from vertebra.errors import RecipeError
from vertebra.methods.cosub import CosubSpec
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy
from vertebra.models.shelf import find_spec
from vertebra.recipes.shelf import load
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import differences, leaves, vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

TWICE = "method: each image passes through the network twice, at twice the time and memory"


def test_a_residual_network_gets_one_rate_for_all_blocks():
    recipe, notes = learn(load("small"), "cosub", Wishes())
    changes = differences(load("small"), recipe)
    assert changes.pop("model.stochastic_depth") == (0.0, 0.1)
    assert changes.pop("model.stochastic_depth_rule") == ("stage", "constant")
    assert all(path.startswith("method") for path in changes)
    assert recipe.phases[0].method == CosubSpec(loss=CrossEntropy(smoothing=0.1))
    assert notes == (
        "model.stochastic_depth: 0 -> 0.1, which makes the submodels differ",
        "model.stochastic_depth_rule: stage -> constant, as published",
        TWICE,
    )


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("levit_128s", 0.1),
        ("convnext_tiny", 0.2),
        ("timm/vit_tiny_patch16_224", 0.2),
        ("timm/regnety_002", 0.2),
    ],
)
def test_networks_whose_rate_grows_get_twice_the_rate_in_their_last_block(name, rate):
    before, _ = suit(load("small"), find_spec(name))
    recipe, notes = learn(before, "cosub", Wishes())
    assert recipe.model.stochastic_depth == rate
    assert notes[1:] == (TWICE,)


def test_a_rate_that_is_there_stays_with_its_rule():
    before = vary(load("small"), {"model.stochastic_depth": 0.3})
    recipe, notes = learn(before, "cosub", Wishes())
    assert recipe.model == before.model
    assert notes == (TWICE,)


@pytest.mark.parametrize("name", ["ghostnet_100", "resnetv2_50x1_bit", "timm/vgg11"])
def test_a_model_that_cannot_drop_blocks_is_refused(name):
    before, _ = suit(load("small"), find_spec(name))
    with pytest.raises(RecipeError, match=f"{name} has no stochastic depth; choose a model that"):
        learn(before, "cosub", Wishes())


def test_the_loss_of_the_recipe_stays():
    loss = BinaryCrossEntropy(threshold=0.2)
    recipe, _ = learn(vary(load("small"), {"method.loss": loss}), "cosub", Wishes())
    assert recipe.phases[0].method == CosubSpec(loss=loss)


def test_a_recipe_that_learns_so_already_stays():
    before = load("cosub")
    assert learn(before, "cosub", Wishes()).recipe == before


def test_a_teacher_is_refused():
    with pytest.raises(RecipeError, match="--teacher is of no use to the method cosub"):
        learn(load("small"), "cosub", Wishes(teachers=("run",)))


def test_the_recipe_is_that_of_the_authors_where_we_can():
    found = leaves(load("cosub"))
    expected = {
        "model.name": "deit3_small_patch16_224",
        "model.stochastic_depth": 2 * 0.05,
        "data.batch_size": 2048,
        "data.preprocess.image_size": 224,
        "data.augment.mixing.mixup": 0.8,
        "data.augment.mixing.cutmix": 1.0,
        "data.augment.jitter.brightness": 0.3,
        "optimizer.weight_decay": 0.05,
        "schedule.kind": "Cosine",
        "schedule.warmup": "5 epochs",
        "length": "800 epochs",
        "method.label_weight": 0.5,
        "method.loss.kind": "BinaryCrossEntropy",
        "method.loss.threshold": 0.0,
        "method.loss.smoothing": 0.0,
        "method.loss.sum_classes": False,
    }
    assert {path: found[path] for path in expected} == expected
