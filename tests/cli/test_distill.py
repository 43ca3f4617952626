"""`vertebra distill`: a student of a run, of a model that is trained first, and of one picture."""

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import TINY, vertebra

from vertebra.cli.distill import Arguments
from vertebra.cli.flags import words
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import leaves
from vertebra.records import RunDirectory, read_record

ONE = "--set=length=1 step"


def test_a_student_of_a_run_learns_its_function(trained, album, tmp_path):
    teacher, _ = trained
    out = tmp_path / "student"
    said = vertebra("distill", album, "--teacher", teacher, ONE, "--out", out, *TINY)
    assert said.code == 0, said.err
    assert "method: learns from the teacher alone, at temperature 10" in said.out
    assert "optimizer: SGD -> AdamW, as published" in said.out
    found = leaves(load(out))
    assert found["method.kind"] == "DistillSpec"
    assert found["method.teachers"] == [str(teacher)]
    assert found["data.augment.mixing.mixup"] == 1.0
    assert read_record(RunDirectory(out)).figures["top1"] >= 0
    again = vertebra("train", "--recipe", out, "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert load(tmp_path / "again") == load(out), "a stored recipe is replayed as it stands"


def test_the_student_has_the_name_that_is_given_and_kd_its_labels(trained, album, tmp_path):
    out = tmp_path / "student"
    said = vertebra(
        "distill", album, "--teacher", trained[0], "--student=resnet18", "--method=kd",
        ONE, "--out", out, *TINY,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "model       resnet18 with" in said.out
    assert leaves(load(out))["method.hard_weight"] == 0.5


def test_a_picture_is_cut_to_patches_and_the_data_set_judges(trained, album, tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(80, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    said = vertebra(
        "distill", album, "--teacher", trained[0], "--method=single-image",
        "--from", tmp_path / "noise.png", "--set=data.learn_from.count=64", ONE,
        "--out", tmp_path / "student", *TINY,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "out of" in said.out and "no image of" in said.out
    assert "(18 images)" in said.out
    found = leaves(load(tmp_path / "student"))
    assert found["data.learn_from.image"] == str(tmp_path / "noise.png")
    assert found["data.learn_from.size_px"] == 16


def test_other_images_may_be_learnt_from(trained, album, tmp_path):
    said = vertebra(
        "distill", album, "--teacher", trained[0], "--from", album / "val", ONE,
        "--out", tmp_path / "student", *TINY,
    )  # fmt: skip
    assert said.code == 0, said.err
    found = leaves(load(tmp_path / "student"))
    assert found["data.learn_from.source"] == str(album / "val")


def test_a_teacher_that_is_a_model_is_trained_first_beside_the_student(album, elsewhere):
    said = vertebra(
        "distill", album, "--teacher=ghostnet_050", "--teacher-epochs=0.5", ONE, *TINY
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "first the teacher, ghostnet_050, into runs/album-1-teacher" in said.out
    assert "now its student, into runs/album-1" in said.out
    teacher = elsewhere / "runs" / "album-1-teacher"
    assert leaves(load(teacher))["method.kind"] == "SupervisedSpec"
    assert leaves(load(teacher))["length"] == "0.5 epochs"
    found = leaves(load(elsewhere / "runs" / "album-1"))
    assert found["method.teachers"] == [str(teacher)]
    assert found["data.views.0.image_size"] == 96, "the teacher has its own size"


def test_the_line_that_starts_more_processes_says_the_same():
    arguments = Arguments(
        data="x", model="resnet18", teacher=("a", "b"), learn_from="y.png", teacher_epochs=2.0
    )
    assert words(arguments) == [
        "x", "--model", "resnet18", "--teacher", "a", "--teacher", "b", "--from", "y.png",
        "--teacher-epochs", "2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "a student needs a teacher; give a finished run as --teacher RUN, or the name of"),
        (["--teacher=resnet5"], "resnet5 is no run directory, and no model: unknown model"),
        (["--teacher=no/where"], "no/where is no run directory (it has no recipe.json)"),
        (["--teacher=resnet18", "--from=chian"], "chian does not exist; did you mean 'china'?"),
        (["--teacher=resnet18", "--student=resnet5"], "unknown model 'resnet5'"),
        (["--teacher=resnet18", "--devices=0"], "devices=0; give the number of processes"),
    ],
)
def test_what_cannot_be_is_told_at_once(flags, message, album, elsewhere):
    said = vertebra("distill", album, *flags)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert list(elsewhere.iterdir()) == []
