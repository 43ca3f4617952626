"""Published settings brought down to few and small images, each change told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.drawn import tiny

from vertebra.duration import epochs, steps
from vertebra.models.pretrained import PretrainedReport
from vertebra.recipes.fit import fit, shorter_warmup, smaller_batch, typical_side, with_batch_size
from vertebra.recipes.materials import Materials, gather
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import differences, vary


@pytest.fixture(scope="module")
def materials(album) -> Materials:
    """36 images of 16 px to train on."""
    return gather(tiny(album).phases[0].data, seed=0)


def test_a_large_recipe_is_brought_down_and_every_change_is_told(materials):
    recipe, notes = fit(load("resnet-rs"), materials)
    assert differences(load("resnet-rs"), recipe) == {
        "data.preprocess.image_size": (160, 32),
        "model.stem_pool": ("conv", None),
        "data.batch_size": (4096, 8),
        "optimizer.lr": (1.6, 1.6 / 512),
    }
    assert notes == (
        "data.preprocess.image_size: 160 -> 32, images are 16 px on their short side",
        "model.stem_pool: conv -> None, at 32 px it would leave maps of 1 px",
        "data.batch_size: 4096 -> 8, 36 images to learn from",
        "optimizer.lr: 1.6 -> 0.003125, the rate moves with the batch",
    )


def test_a_short_run_warms_up_for_a_tenth_of_it(materials):
    recipe, notes = fit(vary(load("small"), {"length": "5 epochs"}), materials)
    assert str(recipe.phases[0].schedule.warmup) == "0.5 epochs"
    assert notes[-1] == "schedule.warmup: 3 epochs -> 0.5 epochs, a tenth of the run"


def test_a_method_that_compares_images_keeps_64_of_them_in_an_update(materials):
    recipe, notes = fit(load("byol-small"), materials)
    assert recipe.phases[0].data.batch_size == 64
    assert "optimizer.lr: 1 -> 0.25, the rate moves with the batch" in notes


@pytest.mark.parametrize(
    "fixed",
    ["data.preprocess.image_size", "data.batch_size", "optimizer.lr", "schedule.warmup", "data"],
)
def test_what_the_caller_has_set_stays(materials, fixed):
    start = vary(load("resnet-rs"), {"length": "20 epochs"})
    recipe, notes = fit(start, materials, fixed={fixed})
    assert not [path for path in differences(start, recipe) if path.startswith(fixed)]
    assert not [note for note in notes if note.startswith(fixed)]


def test_the_rate_stays_with_a_batch_that_stays(materials):
    recipe, _ = fit(load("resnet-rs"), materials, fixed={"data.batch_size"})
    assert recipe.phases[0].optimizer.lr == 1.6


def test_a_recipe_that_suits_the_images_is_left_alone(materials):
    start = vary(load("digits"), {"data.batch_size": 8, "data.preprocess.image_size": 24})
    assert fit(start, materials) == (start, ())


def start(**changes) -> PretrainedReport:
    """Returns what weights expect: 224 px, and pixels in [-1, 1]."""
    half = (0.5, 0.5, 0.5)
    return PretrainedReport((), "timm/x", None, 224, half, half)._replace(**changes)


@pytest.mark.parametrize(
    ("trained_px", "size", "reason"),
    [
        (224, 128, "images are 16 px on their short side"),
        (96, 96, "the size that the weights were trained at"),
        (None, 128, "images are 16 px on their short side"),
    ],
)
def test_images_take_the_size_and_the_scale_that_the_weights_know(
    materials, trained_px, size, reason
):
    found = fit(load("finetune"), materials, start=start(image_size=trained_px))
    preprocess = found.recipe.phases[0].data.preprocess
    assert preprocess.image_size == size
    assert preprocess.mean == preprocess.std == (0.5, 0.5, 0.5)
    assert found.recipe.model == load("finetune").model, "the stem of trained weights stays"
    assert found.notes[0] == f"data.preprocess.image_size: 224 -> {size}, {reason}"
    assert found.notes[1].startswith("data.preprocess.mean: (0.485, ")
    assert found.notes[1].endswith(" -> (0.5, 0.5, 0.5), as the weights were trained")


def test_the_scale_of_the_weights_gives_way_to_the_callers_and_to_other_channels(materials):
    fixed = {"data.preprocess.mean", "data.preprocess.std"}
    own = fit(load("finetune"), materials, start=start(), fixed=fixed)
    grey = fit(load("finetune"), materials, start=start(mean=(0.5,), std=None))
    for found in (own, grey):
        assert found.recipe.phases[0].data.preprocess.mean == (0.485, 0.456, 0.406)


def test_the_rate_of_adam_moves_with_the_square_root_of_the_batch(materials):
    recipe, _ = fit(load("finetune"), materials)
    before = load("finetune").phases[0]
    assert recipe.phases[0].data.batch_size == before.data.batch_size / 8
    assert recipe.phases[0].optimizer.lr == pytest.approx(before.optimizer.lr / 8**0.5)


def test_each_of_several_phases_is_fitted_and_told_once(materials):
    one = fit(load("small"), materials)
    two = fit(replace(load("small"), phases=load("small").phases * 2), materials)
    assert two.recipe.phases == one.recipe.phases * 2
    assert two.notes == one.notes
    fixed = fit(two.recipe, materials, fixed={"phases.1.data.batch_size"}).recipe
    assert fixed.phases[1].data.batch_size == two.recipe.phases[1].data.batch_size


@given(
    st.integers(1, 2**13), st.integers(1, 10**7), st.sampled_from([1, 2, 3, 8, 64])
)  # fmt: skip
def test_a_smaller_batch_keeps_updates_and_can_be_accumulated(batch, images, accumulate):
    batch *= accumulate
    found = smaller_batch(batch, images, accumulate=accumulate)
    assert found <= batch
    assert found % accumulate == 0
    if found < batch and found > max(8, accumulate):
        assert images / found >= 16
        assert images / (2 * found) < 16


@pytest.mark.parametrize(
    ("warmup", "length", "expected"),
    [
        (epochs(5), epochs(50), epochs(5)),
        (epochs(5), epochs(20), epochs(2)),
        (epochs(5), steps(100), steps(10)),
        (steps(100), epochs(3), epochs(0.3)),
        (steps(3), epochs(3), steps(3)),
        (steps(0), steps(1), steps(0)),
        (epochs(1), steps(5), steps(0)),
    ],
)
def test_a_warmup_is_at_most_a_tenth_of_the_run_in_any_unit(warmup, length, expected):
    assert shorter_warmup(warmup, length, 10.0) == expected


def test_another_batch_moves_the_rate_of_every_phase_with_it():
    recipe = load("small")
    two = with_batch_size(replace(recipe, phases=recipe.phases * 2), 128)
    assert [(each.data.batch_size, each.optimizer.lr) for each in two.phases] == [(128, 0.2)] * 2


def test_the_typical_side_is_the_median_short_side(materials):
    assert typical_side(materials.splits.train) == 16
