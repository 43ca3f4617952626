"""The published settings of ResNet-RS, row by row."""

import pytest

from vertebra.duration import epochs
from vertebra.errors import RecipeError
from vertebra.recipes.resnet_rs import resnet_rs
from vertebra.recipes.shelf import RECIPES, load
from vertebra.recipes.vary import leaves

# depth, size -> dropout, stochastic depth, magnitude of RandAugment, top-1 in per cent
PUBLISHED = {
    (50, 160): (0.25, 0.0, 10, 78.8),
    (101, 160): (0.25, 0.0, 10, 80.3),
    (101, 192): (0.25, 0.0, 15, 81.2),
    (152, 192): (0.25, 0.0, 15, 82.0),
    (152, 224): (0.25, 0.0, 15, 82.2),
    (152, 256): (0.25, 0.0, 15, 83.0),
    (200, 256): (0.25, 0.1, 15, 83.4),
    (270, 256): (0.25, 0.1, 15, 83.8),
    (350, 256): (0.25, 0.1, 15, 84.0),
    (350, 320): (0.40, 0.1, 15, 84.2),
    (420, 320): (0.40, 0.1, 15, 84.4),
}
COMMON = {
    "data.batch_size": 4096,
    "data.preprocess.crop_fraction": 0.875,
    "data.preprocess.interpolation": "bicubic",
    "data.augment.rand_augment.pool": "tf",
    "data.augment.rand_augment.count": 2,
    "data.augment.crop.scale": [0.08, 1.0],
    "data.augment.flip": 0.5,
    "optimizer.kind": "SGD",
    "optimizer.lr": 1.6,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 4e-5,
    "schedule.kind": "Cosine",
    "schedule.warmup": "5 epochs",
    "length": "350 epochs",
    "method.loss.smoothing": 0.1,
    "averaging.decay": 0.9999,
    "averaging.ramp": True,
    "selection.keep": "last",
    "model.form": "D",
    "model.squeeze": 0.25,
    "model.stem_pool": "conv",
    "model.stochastic_depth_rule": "stage",
    "model.zero_init_last": True,
}


@pytest.mark.parametrize("row", PUBLISHED)
def test_a_row_has_its_own_regularisation_and_figure(row):
    recipe, (dropout, stochastic_depth, magnitude, top1) = resnet_rs(*row), PUBLISHED[row]
    found = leaves(recipe)
    assert recipe.dropout == dropout
    assert recipe.model.stochastic_depth == stochastic_depth
    assert found["data.augment.rand_augment.magnitude"] == magnitude
    assert found["data.preprocess.image_size"] == row[1]
    assert f"{top1}% top-1" in recipe.expects.figure


@pytest.mark.parametrize("row", PUBLISHED)
def test_every_row_shares_the_training(row):
    found = leaves(resnet_rs(*row))
    assert {path: found[path] for path in COMMON} == COMMON


def test_the_shelf_has_every_row_once_and_the_first_one_is_meant_without_numbers():
    rows = [entry.arguments for entry in RECIPES.values() if entry.module == "resnet_rs"]
    assert sorted(row or (50, 160) for row in rows) == sorted(PUBLISHED)
    assert load("resnet-rs") == resnet_rs(50, 160)


def test_the_length_is_that_of_the_published_steps():
    images, batch = 1_281_167, 4096
    assert epochs(350).to_steps(images / batch) == pytest.approx(109_475, rel=1e-4)


def test_a_size_without_a_row_is_refused_with_the_rows():
    with pytest.raises(RecipeError, match=r"no 50 layers at 224 px; choose one of 50 at 160, 101"):
        resnet_rs(50, 224)
