from dataclasses import replace

import pytest
from tests.recipes.drawn import tiny

from vertebra.data.crops import Resize
from vertebra.data.patches import Patches
from vertebra.data.preprocess import Preprocess
from vertebra.data.unlabelled import Unlabelled
from vertebra.duration import epochs, steps
from vertebra.engine.averaging import Averaging
from vertebra.engine.optimizers import AdamW
from vertebra.engine.schedules import Cosine
from vertebra.errors import RecipeError
from vertebra.methods.arch_net import ArchNetDistillSpec
from vertebra.models.arch_net import ArchNetSpec
from vertebra.models.levit import LeViTSpec
from vertebra.recipes.arch_net import growth, shared
from vertebra.recipes.codec import to_data
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.taught import taught_by
from vertebra.recipes.ways.wishes import Wishes
from vertebra.records import write_json


def run_of(recipe: Recipe, folder) -> Wishes:
    """Writes what a way reads of a finished run; returns the wish to learn from it."""
    folder.mkdir()
    write_json(folder / "recipe.json", to_data(recipe))
    write_json(folder / "preprocess.json", to_data(recipe.phases[-1].data.preprocess))
    return Wishes(teachers=(str(folder),))


@pytest.fixture
def wishes(tmp_path):
    return run_of(tiny(tmp_path), tmp_path / "run")


def test_periods_grow_by_stages_and_only_the_first_starts_from_the_teacher(wishes, tmp_path):
    recipe, notes = learn(load("small"), "arch-net", wishes)
    assert recipe.model == ArchNetSpec(of=tiny(tmp_path).model)
    methods = [phase.method for phase in recipe.phases]
    assert methods == [
        ArchNetDistillSpec(teachers=wishes.teachers, targets=targets, starts_from_teacher=first)
        for targets, first in ((4, True), (7, False), (10, False), (None, False))
    ]
    assert [str(phase.length) for phase in recipe.phases] == [*["3 epochs"] * 3, "21 epochs"]
    assert all(phase.takes == "model" for phase in recipe.phases)
    assert recipe.selection.keep == "last"
    assert notes[0].startswith("model: Arch-Net of resnet18 with")
    recipe.check()


def test_settings_are_the_published_ones_and_images_are_as_the_teacher_knows_them(wishes):
    before = load("small")
    assert before.phases[0].averaging == Averaging(decay=0.999)
    recipe, _ = learn(before, "arch-net", wishes)
    for phase in recipe.phases:
        assert phase.optimizer == AdamW(lr=5e-4, weight_decay=1e-7)  # the root of 64 / 256
        assert phase.schedule == Cosine(warmup=steps(0))
        assert phase.averaging is None
        assert phase.data.preprocess == Preprocess(image_size=16, crop_fraction=1.0)
        assert phase.data.augment.crop == before.phases[0].data.augment.crop
        assert phase.data.augment.rand_augment is None
        mixing = phase.data.augment.mixing
        assert (mixing.mixup, mixing.probability) == (1.0, 0.1)
    assert not any(phase.method.needs_labels for phase in recipe.phases)


def test_it_learns_from_other_images_in_the_size_of_the_teacher(wishes):
    folder = Unlabelled(source="somewhere")
    recipe, _ = learn(load("small"), "arch-net", wishes._replace(learn_from=folder))
    assert {phase.data.learn_from for phase in recipe.phases} == {folder}
    patches = Patches(image="china")
    recipe, _ = learn(load("small"), "arch-net", wishes._replace(learn_from=patches))
    assert recipe.phases[0].data.learn_from == replace(patches, size_px=16)


def test_the_named_recipe_keeps_its_periods_and_takes_the_teachers_network(wishes, tmp_path):
    published = load("arch-net")
    other = vary(tiny(tmp_path), {"model.blocks": [2, 2, 2, 2]})
    wished = run_of(other, tmp_path / "other")
    for recipe in (learn(published, "arch-net", wished).recipe, taught_by(published, wished)):
        assert recipe.model == ArchNetSpec(of=other.model)
        assert [phase.length for phase in recipe.phases] == [
            phase.length for phase in published.phases
        ]
        assert all(phase.method.teachers == wished.teachers for phase in recipe.phases)
        assert all(phase.data.views == () for phase in recipe.phases)
    with pytest.raises(RecipeError, match="the recipe grows to targets=25 and the Arch-Net of"):
        learn(published, "arch-net", wishes)


def test_bits_of_a_recipe_that_has_some_are_kept(wishes):
    first = learn(load("small"), "arch-net", wishes).recipe
    eight = vary(first, {"model.weight_bits": 8, "model.levels": "learned"})
    assert learn(eight, "arch-net", wishes).recipe == eight


def test_the_published_recipe_counts_as_the_paper_does():
    recipe = load("arch-net")
    targets = [phase.method.targets for phase in recipe.phases]
    assert targets == [*range(1, 26), None]
    updates = [phase.length.to_steps(1) for phase in recipe.phases]
    assert updates == [60 * 32, *[10 * 32] * 24, 5110 * 32]
    assert (recipe.model.weight_bits, recipe.model.activation_bits) == (2, 4)
    assert recipe.phases[0].data.augment.crop == Resize()


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (epochs(30), ["3 epochs", "3 epochs", "3 epochs", "21 epochs"]),
        (epochs(1), ["0.1 epochs", "0.1 epochs", "0.1 epochs", "0.7 epochs"]),
        (steps(45), ["4 steps", "4 steps", "4 steps", "33 steps"]),
        (steps(2), ["1 step", "1 step", "1 step", "1 step"]),
    ],
)
def test_periods_share_a_length(length, said):
    assert [str(each) for each in shared(length, 4)] == said


def test_growth_by_parts_reaches_every_target(tmp_path):
    model = ArchNetSpec(of=tiny(tmp_path).model)
    assert growth(model, each="part") == (*range(1, 14), None)
    assert growth(model, each="stage") == (4, 7, 10, None)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (LeViTSpec(), r"of which no Arch-Net is known; train a plain residual network"),
        ({"model.squeeze": 0.25}, r"no counterpart of a residual network's squeeze=0.25"),
    ],
)
def test_other_networks_are_refused(tmp_path, model, sentence):
    changes = model if isinstance(model, dict) else {"model": model}
    wished = run_of(vary(tiny(tmp_path), changes), tmp_path / "run")
    with pytest.raises(RecipeError, match=sentence):
        learn(load("small"), "arch-net", wished)


def test_one_teacher_is_needed_and_nothing_in_vain(wishes):
    with pytest.raises(RecipeError, match="0 are given; give one with --teacher RUN"):
        learn(load("small"), "arch-net", Wishes())
    with pytest.raises(RecipeError, match="2 are given"):
        learn(load("small"), "arch-net", Wishes(teachers=wishes.teachers * 2))
    with pytest.raises(RecipeError, match="--unlabelled is of no use to the method arch-net"):
        learn(load("small"), "arch-net", wishes._replace(unlabelled=Unlabelled(source="x")))
