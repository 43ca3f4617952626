"""Finished runs as teachers: they answer in the student's terms, and once for all where wanted."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.recipes.drawn import CLASSES, draw_album, tiny
from tests.recipes.power_cut import PowerCut, Scripted, cut

from vertebra.data.preprocess import Preprocess
from vertebra.engine import checkpoint
from vertebra.engine.distributed import World
from vertebra.engine.observers import Saver
from vertebra.errors import CheckpointError, DataError, RecipeError
from vertebra.methods.distill import DistillSpec
from vertebra.recipes.deploy import load_run
from vertebra.recipes.materials import evaluation_batches, training_batches
from vertebra.recipes.plan import estimate
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import resume, run
from vertebra.recipes.teachers import as_teacher, ask, guide, input_of
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

pytestmark = pytest.mark.usefixtures("no_page")

CPU = torch.device("cpu")
OTHER = {
    "data.preprocess.mean": (0.1, 0.6, 0.3),
    "data.preprocess.std": (0.3, 0.1, 0.7),
    "data.preprocess.image_size": 24,
}


class Share(World):
    """One process of several, whose sums are its own."""

    def total(self, value):
        return value


@pytest.fixture(scope="module")
def teacher(album, tmp_path_factory) -> str:
    """A finished run whose images are scaled otherwise, and larger than the student's."""
    folder = tmp_path_factory.mktemp("teachers") / "teacher"
    run(tiny(album, {**OTHER, "length": "1 epochs", "seed": 1}), folder)
    return str(folder)


def student(album: Path, teacher: str, **changes):
    """Returns the smallest recipe with plain distillation."""
    recipe, _ = learn(tiny(album), "kd", Wishes(teachers=(teacher,)))
    (phase,) = recipe.phases
    return replace(recipe, phases=(replace(phase, method=replace(phase.method, **changes)),))


def test_a_teacher_answers_about_what_the_student_sees_in_its_own_scale(teacher):
    deployed, ours = load_run(teacher, device="cpu"), Preprocess(image_size=24)
    pixels = torch.randint(256, (5, 3, 24, 24), dtype=torch.uint8)
    found = as_teacher(deployed, ours, CLASSES)(ours.normalize(pixels))
    expected = deployed.model(deployed.preprocess.normalize(pixels))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert not found.requires_grad


def test_classes_are_matched_by_name(teacher):
    deployed, images = load_run(teacher, device="cpu"), torch.randn(2, 3, 24, 24)
    turned = (CLASSES[2], CLASSES[0], CLASSES[1])
    ours, theirs = (as_teacher(deployed, deployed.preprocess, each) for each in (turned, CLASSES))
    assert torch.equal(ours(images), theirs(images)[:, [2, 0, 1]])


def test_a_teacher_sees_each_crop_in_its_own_size(album, teacher):
    recipe = student(album, teacher)
    assert input_of(teacher).image_size == 24
    prepared = prepare(recipe)
    guidance = guide(recipe.phases[0], prepared.classes, device=CPU)
    batches = _training_batches(prepared)
    batch = next(iter(batches))
    assert batch.images.shape[-1] == 16
    assert guidance.teachers[0].version(batch).shape[-1] == 24


def _training_batches(prepared):
    class Step:
        seed, steps, world, device = 0, 1, World(), CPU

    return training_batches(prepared.recipe, prepared.recipe.phases[0], prepared.materials[0], Step)


def test_a_fixed_teacher_answers_for_the_centre_of_each_image_in_its_size(album, teacher):
    recipe = student(album, teacher, is_consistent=False)
    prepared = prepare(recipe)
    phase, split = recipe.phases[0], prepared.materials[0].train
    asked = guide(phase, prepared.classes, device=CPU)
    found = ask(asked, recipe, phase, split, world=World()).answers
    assert found.shape == (1, len(split), 3)
    own = replace(phase.data.preprocess, image_size=24)
    for index in (0, 7, len(split) - 1):
        pixels = own.evaluation(split.open(index, 3))[None]
        with torch.no_grad():
            expected = asked.teachers[0](own.normalize(pixels))[0]
        torch.testing.assert_close(found[0, index], expected, atol=1e-4, rtol=1e-4)
    again = ask(asked, recipe, phase, split, world=World()).answers
    assert torch.equal(found, again)


def test_processes_share_the_questions(album, teacher):
    recipe = student(album, teacher, is_consistent=False)
    prepared = prepare(recipe)
    phase, split = recipe.phases[0], prepared.materials[0].train
    asked = guide(phase, prepared.classes, device=CPU)
    whole = ask(asked, recipe, phase, split, world=World()).answers
    shares = [ask(asked, recipe, phase, split, world=Share(rank, 2)).answers for rank in range(2)]
    assert all((each == 0).all(-1).sum() in range(12, 25) for each in shares)
    torch.testing.assert_close(shares[0] + shares[1], whole, atol=1e-5, rtol=1e-4)


def test_who_sees_what_the_student_sees_is_not_asked_before(album, teacher):
    recipe = student(album, teacher)
    prepared = prepare(recipe)
    guidance = guide(recipe.phases[0], prepared.classes, device=CPU)
    split = prepared.materials[0].train
    assert ask(guidance, recipe, recipe.phases[0], split, world=World()) is guidance


def test_a_run_with_a_fixed_teacher_resumes_to_the_bit(album, teacher, tmp_path, monkeypatch):
    recipe = student(album, teacher, is_consistent=False)
    run(recipe, tmp_path / "whole")

    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setitem(Saver.__init__.__kwdefaults__, "seconds", 0.0)  # saves each update
        run(recipe, tmp_path / "cut", view=Scripted(4, cut))
    assert resume(tmp_path / "cut").resumed_at == (3,)
    ours, theirs = (
        checkpoint.load(tmp_path / name / "checkpoints" / "last").tensors["method"]
        for name in ("cut", "whole")
    )
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert {name.split(".")[0] for name in theirs} == {"model"}


def test_a_plan_asks_no_teacher_about_every_image(album, teacher, monkeypatch):
    def fail(*arguments, **settings):
        raise AssertionError("asked")

    recipe = student(album, teacher, is_consistent=False)
    monkeypatch.setattr("vertebra.recipes.teachers.evaluation_batches", fail)
    assert estimate(prepare(recipe)).seconds_per_step > 0
    assert evaluation_batches is not fail


def test_no_teacher_is_refused_before_training(album):
    with pytest.raises(RecipeError, match="DistillSpec has no teachers; give a finished run, as"):
        prepare(tiny(album, {"method": DistillSpec(hard_weight=0.5)}))


def test_a_teacher_of_other_classes_is_refused(album, teacher, tmp_path):
    other = shutil.copytree(album, tmp_path / "album")
    for split in ("train", "val", "test"):
        (other / split / "left").rename(other / split / "up")
    with pytest.raises(
        DataError, match=r"knows the classes 'left', .* the images have .*'up'; give"
    ):
        prepare(student(other, teacher))


def test_images_without_classes_are_to_be_learnt_from_and_not_judged_by(album, teacher, tmp_path):
    loose = tmp_path / "loose"
    loose.mkdir()
    for path in (album / "train").rglob("*.png"):
        shutil.copy(path, loose / f"{path.parent.name}-{path.name}")
    recipe, _ = learn(tiny(loose), "funmatch", Wishes(teachers=(teacher,)))
    with pytest.raises(DataError, match=r"the images have none to judge by; .* with --from"):
        prepare(recipe)


def test_a_teacher_of_other_channels_is_refused(teacher, tmp_path):
    album = draw_album(tmp_path / "album", train=4, val=2)
    grey = {"data.preprocess": {"image_size": 16, "channels": 1, "mean": [0.4], "std": [0.2]}}
    recipe, _ = learn(tiny(album, grey), "kd", Wishes(teachers=(teacher,)))
    with pytest.raises(DataError, match="takes images of 3 channels and the student of 1"):
        prepare(recipe)


def test_a_teacher_that_has_not_finished_is_refused(album, teacher, tmp_path):
    unfinished = shutil.copytree(teacher, tmp_path / "unfinished")
    shutil.rmtree(unfinished / "checkpoints")
    with pytest.raises(CheckpointError, match="holds no selected weights yet; finish it with"):
        prepare(student(album, str(unfinished)))
