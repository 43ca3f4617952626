"""The published settings of BYOL and SimCLR."""

import pytest

from vertebra.errors import RecipeError
from vertebra.recipes.byol import ROWS, byol, row_for
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import leaves, vary


@pytest.mark.parametrize(
    ("length", "lr", "weight_decay", "tau"),
    [
        (40, 0.45 * 16, 1e-6, 0.97),
        (100, 0.45 * 16, 1e-6, 0.99),
        (300, 0.3 * 16, 1e-6, 0.99),
        (1000, 0.2 * 16, 1.5e-6, 0.996),
    ],
)
def test_byol_has_the_authors_rate_decay_and_tau_for_each_length(length, lr, weight_decay, tau):
    found = leaves(byol(length))
    expected = {
        "data.batch_size": 4096,
        "data.preprocess.image_size": 224,
        "data.preprocess.interpolation": "bicubic",
        "optimizer.kind": "LARS",
        "optimizer.lr": pytest.approx(lr),
        "optimizer.momentum": 0.9,
        "optimizer.trust": 1e-3,
        "optimizer.weight_decay": weight_decay,
        "method.tau": tau,
        "method.hidden": 4096,
        "method.projection": 256,
        "schedule.kind": "Cosine",
        "schedule.warmup": "10 epochs",
        "length": f"{length} epochs",
    }
    assert {path: found[path] for path in expected} == expected


def test_the_two_versions_of_byol_differ_in_blur_and_solarizing_only():
    found = leaves(load("byol"))
    first = {
        path.removeprefix("data.augment."): value
        for path, value in found.items()
        if path.startswith("data.augment.")
    }
    second = {
        path.removeprefix("data.views.0.augment."): value
        for path, value in found.items()
        if path.startswith("data.views.0.augment.")
    }
    assert {path: value for path, value in first.items() if "kind" not in path} == {
        "crop.scale": [0.08, 1.0],
        "crop.ratio": [3 / 4, 4 / 3],
        "flip": 0.5,
        "rand_augment": None,
        "jitter.brightness": 0.4,
        "jitter.contrast": 0.4,
        "jitter.saturation": 0.2,
        "jitter.hue": 0.1,
        "jitter.probability": 0.8,
        "grayscale": 0.2,
        "blur.probability": 1.0,
        "blur.sigma": [0.1, 2.0],
        "solarize": None,
        "erase": None,
        "mixing": None,
    }
    differing = {path for path in {*first, *second} if first.get(path) != second.get(path)}
    assert differing == {
        "blur.probability",
        "solarize.kind",
        "solarize.probability",
        "solarize.threshold",
    }
    assert second["blur.probability"] == 0.1
    assert (second["solarize.probability"], second["solarize.threshold"]) == (0.2, 0.5)


def test_the_small_ones_have_the_settings_of_solo_learn_for_cifar():
    found = leaves(load("byol-small"))
    expected = {
        "data.batch_size": 256,
        "optimizer.lr": 1.0,
        "optimizer.trust": 0.02,
        "optimizer.weight_decay": 1e-5,
        "method.tau": 0.99,
        "method.projection": 256,
        "data.augment.blur": None,
        "data.augment.solarize": None,
        "data.views.0.augment.blur": None,
        "data.views.0.augment.solarize.probability": 0.2,
    }
    assert {path: found[path] for path in expected} == expected
    found = leaves(load("simclr-small"))
    expected = {
        "optimizer.trust": 0.02,
        "optimizer.weight_decay": 1e-4,
        "method.temperature": 0.2,
        "method.projection": 256,
        "data.augment.blur": None,
    }
    assert {path: found[path] for path in expected} == expected


def test_simclr_is_that_of_the_paper_and_makes_both_versions_alike():
    recipe = load("simclr")
    found = leaves(recipe)
    expected = {
        "data.batch_size": 4096,
        "optimizer.lr": pytest.approx(4.8),
        "optimizer.weight_decay": 1e-6,
        "method.temperature": 0.1,
        "method.projection": 128,
        "method.hidden": 2048,
        "data.augment.jitter.brightness": 0.8,
        "data.augment.jitter.hue": 0.2,
        "data.augment.jitter.probability": 0.8,
        "data.augment.grayscale": 0.2,
        "data.augment.blur.probability": 0.5,
        "data.augment.solarize": None,
    }
    assert {path: found[path] for path in expected} == expected
    data = recipe.phases[0].data
    assert [view.augment for view in data.views] == [data.augment]


def test_another_length_has_the_settings_of_the_next_longer_one():
    assert [row_for(length) for length in (1, 40, 41, 300, 301)] == [
        ROWS[place] for place in (0, 0, 1, 2, 3)
    ]
    assert row_for(5000) is ROWS[-1]


def test_a_length_without_settings_is_refused():
    with pytest.raises(RecipeError, match="no settings for 90 epochs; choose one of 40, 100, 300"):
        byol(90)


def test_labels_cannot_choose_and_one_version_is_not_enough():
    with pytest.raises(RecipeError, match="BYOLSpec learns without; set it to 'last'"):
        vary(load("byol"), {"selection.keep": "best"}).check()
    with pytest.raises(RecipeError, match=r"data\.views adds 0 to the first; give one view"):
        vary(load("byol"), {"data.views": ()}).check()
    with pytest.raises(RecipeError, match="cannot learn the classes of the source"):
        vary(load("byol"), {"data.learn_from": {"kind": "Unlabelled", "source": "x"}}).check()
