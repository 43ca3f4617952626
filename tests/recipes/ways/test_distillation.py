"""Any recipe made to learn from a finished run: kd, funmatch and single-image."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from vertebra.data.augment import Augment
from vertebra.data.crops import PadCrop, RandomResizedCrop
from vertebra.data.mixing import Mixing
from vertebra.data.patches import Patches
from vertebra.data.preprocess import Preprocess
from vertebra.data.unlabelled import Unlabelled
from vertebra.data.views import View
from vertebra.engine.optimizers import AdamW
from vertebra.errors import CheckpointError, RecipeError
from vertebra.methods.distill import DistillSpec
from vertebra.methods.supervised import CrossEntropy
from vertebra.models.convnext import NAMED
from vertebra.recipes.fit import with_image_size
from vertebra.recipes.shelf import load
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import differences, vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.taught import is_taught, taught_by
from vertebra.recipes.ways.wishes import Wishes
from vertebra.records import write_json

SMALL = load("small")
WAYS = ("kd", "funmatch", "single-image")


def plant(folder: Path, size: int) -> str:
    """Writes what of a run is looked at before it is loaded."""
    folder.mkdir()
    write_json(folder / "recipe.json", {})
    write_json(folder / "preprocess.json", asdict(Preprocess(image_size=size)))
    return str(folder)


@pytest.fixture
def teacher(tmp_path: Path) -> str:
    """A run at 32 px."""
    return plant(tmp_path / "teacher", 32)


@pytest.fixture
def larger(tmp_path: Path) -> str:
    """A run at 160 px."""
    return plant(tmp_path / "larger", 160)


def method_of(recipe):
    (phase,) = recipe.phases
    return phase.method


def test_kd_adds_a_teacher_and_leaves_the_rest(teacher):
    recipe, notes = learn(SMALL, "kd", Wishes(teachers=(teacher,)))
    changed = {path.split(".")[0] for path in differences(SMALL, recipe)}
    assert changed == {"method", "data"}
    assert method_of(recipe) == DistillSpec(
        teachers=(teacher,), temperature=20.0, hard_weight=0.5, loss=CrossEntropy(smoothing=0.1)
    )
    assert recipe.phases[0].data.augment == SMALL.phases[0].data.augment
    assert recipe.phases[0].data.views == (View(image_size=32),)
    assert recipe.phases[0].method.needs_labels
    assert len(notes) == 1
    recipe.check()


def test_each_size_among_several_teachers_gets_one_view(teacher, larger, tmp_path):
    twin = plant(tmp_path / "twin", 32)
    recipe, _ = learn(SMALL, "kd", Wishes(teachers=(teacher, larger, twin)))
    assert method_of(recipe).teachers == (teacher, larger, twin)
    assert [view.image_size for view in recipe.phases[0].data.views] == [32, 160]
    again, _ = learn(recipe, "kd", Wishes(teachers=(larger,)))
    assert [view.image_size for view in again.phases[0].data.views] == [160]


def test_under_cutmix_the_teacher_sees_the_students_size(teacher):
    mixed = vary(SMALL, {"data.augment.mixing": Mixing(cutmix=1.0)})
    recipe, notes = learn(mixed, "kd", Wishes(teachers=(teacher,)))
    assert recipe.phases[0].data.views == ()
    assert notes[1] == "the teacher sees images of the student's size, as CutMix mixes them"
    recipe.check()


def test_funmatch_learns_from_the_teacher_alone_on_mixed_crops(teacher):
    recipe, notes = learn(SMALL, "funmatch", Wishes(teachers=(teacher,)))
    phase = recipe.phases[0]
    assert phase.method == DistillSpec(teachers=(teacher,), temperature=10.0)
    assert phase.data.augment == Augment(
        crop=RandomResizedCrop(scale=(0.05, 1.0)), flip=0.5, mixing=Mixing(mixup=1.0)
    )
    assert phase.optimizer.lr == pytest.approx(3e-3 / 8**0.5), "64 of 512 images"
    assert replace(phase.optimizer, lr=3e-3) == AdamW(lr=3e-3, weight_decay=0.1)
    assert phase.clip_norm == 1.0
    assert not phase.method.needs_labels
    assert recipe.selection.keep == "last"
    assert phase.length == SMALL.phases[0].length
    assert "optimizer: SGD -> AdamW, as published" in notes
    recipe.check()


def test_a_model_that_has_its_own_adam_keeps_it(teacher):
    suited, _ = suit(SMALL, NAMED["convnext_tiny"])
    recipe, notes = learn(suited, "funmatch", Wishes(teachers=(teacher,)))
    assert recipe.phases[0].optimizer == suited.phases[0].optimizer
    assert not any("SGD" in note for note in notes)
    alone, _ = learn(suited, "single-image", Wishes(teachers=(teacher,)))
    assert alone.phases[0].optimizer == suited.phases[0].optimizer


def test_funmatch_may_learn_from_other_images(teacher):
    pool = Unlabelled(source="elsewhere")
    recipe, _ = learn(SMALL, "funmatch", Wishes(teachers=(teacher,), learn_from=pool))
    assert recipe.phases[0].data.learn_from == pool
    recipe.check()


def test_single_image_cuts_patches_of_the_teachers_size(teacher):
    recipe, notes = learn(SMALL, "single-image", Wishes(teachers=(teacher,)))
    phase = recipe.phases[0]
    assert phase.data.learn_from == Patches(image="china", size_px=32)
    assert phase.data.preprocess.image_size == 32
    assert recipe.model.stem_pool is None
    assert phase.data.views == ()
    assert phase.data.augment == Augment(
        crop=PadCrop(padding=4), flip=0.5, mixing=Mixing(cutmix=0.25)
    )
    assert phase.method == DistillSpec(teachers=(teacher,), temperature=8.0, scales_by_square=False)
    assert phase.optimizer.lr == pytest.approx(1e-3 / 8**0.5)
    assert replace(phase.optimizer, lr=1e-3) == AdamW(lr=1e-3, weight_decay=0.0)
    assert recipe.selection.keep == "last"
    assert notes[0].startswith("learn_from: patches of 32 px out of china; no image of the data")
    recipe.check()


def test_single_image_for_large_images_crops_and_colours(larger):
    wishes = Wishes(teachers=(larger,), learn_from=Patches(image="a.jpg", count=7))
    phase = learn(SMALL, "single-image", wishes).recipe.phases[0]
    assert phase.data.learn_from == Patches(image="a.jpg", count=7, size_px=160)
    assert isinstance(phase.data.augment.crop, RandomResizedCrop)
    assert phase.data.augment.jitter.probability == 0.8
    assert phase.data.augment.mixing == Mixing(cutmix=1.0)
    assert phase.optimizer.weight_decay == 5e-4
    transparent = vary(SMALL, {"data.preprocess": Preprocess.for_channels(4)})
    transparent = vary(transparent, {"data.augment.rand_augment": None})
    learn(transparent, "single-image", Wishes(teachers=(larger,))).recipe.check()


def test_the_size_that_is_set_takes_the_stems_pool_along():
    made, notes = with_image_size(SMALL, 64)
    assert differences(SMALL, made) == {
        "data.preprocess.image_size": (96, 64),
        "model.stem_pool": ("conv", None),
    }
    assert notes[0] == "data.preprocess.image_size: 96 -> 64, the size that it learns from"
    assert with_image_size(SMALL, 96) == (SMALL, ())


@pytest.mark.parametrize("name", ["funmatch", "single-image"])
def test_a_named_recipe_keeps_what_is_published_and_takes_the_teacher(name, teacher):
    recipe = load(name)
    assert is_taught(recipe)
    assert not is_taught(SMALL)
    made = taught_by(recipe, Wishes(teachers=(teacher,)))
    assert method_of(made).teachers == (teacher,)
    paths = {path.split(".")[-1] for path in differences(recipe, made)}
    assert paths <= {"teachers", "views", "image_size", "augment", "0", "kind"}
    assert made.phases[0].optimizer == recipe.phases[0].optimizer
    made.check()


def test_a_named_recipe_takes_another_picture_and_keeps_the_count(teacher):
    wishes = Wishes(teachers=(teacher,), learn_from=Patches(image="a.jpg"))
    made = taught_by(load("single-image"), wishes)
    expected = Patches(image="a.jpg", count=1_280_000, size_px=224)
    assert made.phases[0].data.learn_from == expected
    again = taught_by(made, Wishes(learn_from=Patches(image="b.jpg")))
    assert method_of(again).teachers == (teacher,), "it keeps those it has"


@pytest.mark.parametrize("method", WAYS)
def test_without_a_teacher_it_is_refused(method):
    with pytest.raises(
        RecipeError, match="learns from a finished run; give one with --teacher RUN"
    ):
        learn(SMALL, method, Wishes())


@pytest.mark.parametrize("method", WAYS)
def test_a_teacher_that_is_no_run_is_refused(method, tmp_path):
    with pytest.raises(CheckpointError, match="is no run directory"):
        learn(SMALL, method, Wishes(teachers=(str(tmp_path),)))


@pytest.mark.parametrize(
    ("method", "wishes", "message"),
    [
        ("kd", {"learn_from": Unlabelled(source="x")}, "--from is of no use to the method kd"),
        ("funmatch", {"unlabelled": Unlabelled(source="x")}, "--unlabelled is of no use"),
        ("single-image", {"learn_from": Unlabelled(source="x")}, "x may hold many; give a picture"),
    ],
)
def test_what_it_has_no_use_for_is_refused(method, wishes, message, teacher):
    with pytest.raises(RecipeError, match=message):
        learn(SMALL, method, Wishes(teachers=(teacher,), **wishes))


def test_teachers_of_two_sizes_cannot_share_boxes(teacher, larger):
    with pytest.raises(RecipeError, match="take images of 32 and 160 px, and CutMix needs one"):
        learn(SMALL, "single-image", Wishes(teachers=(teacher, larger)))


def test_a_fixed_teacher_and_mixed_images_exclude_each_other(teacher):
    recipe, _ = learn(SMALL, "funmatch", Wishes(teachers=(teacher,)))
    with pytest.raises(RecipeError, match="has not seen the mixed images"):
        vary(recipe, {"method.is_consistent": False}).check()
