"""`vertebra train --pretrained` and `--weights`: where a run starts from, on the command line."""

import shutil
import subprocess
import sys

import pytest
import torch
from tests.cli.conftest import vertebra
from tests.recipes.drawn import draw_album

from vertebra.cli.flags import RecipeFlags, words
from vertebra.engine import checkpoint
from vertebra.errors import CheckpointError
from vertebra.models.pretrained import PretrainedReport
from vertebra.recipes import start
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import leaves
from vertebra.records import RunDirectory, read_record

QUICK = ["--workers=0", "--device=cpu", "--set=length=1 step"]


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A folder with images of classes that the trained run does not know."""
    root = draw_album(tmp_path_factory.mktemp("others") / "others", train=6, val=3)
    for split in ("train", "val"):
        (root / split / "right").rename(root / split / "up")
    return root


@pytest.fixture
def published(monkeypatch):
    """Lets "default" and "a1" be found without a file; returns what was asked for."""
    asked = []

    def found(model, *, name, weights, download):
        asked.append((name, weights, download))
        if weights not in ("default", "a1"):
            raise CheckpointError(f"{weights!r} is not here; place it in FOLDER")
        half = (0.5, 0.5, 0.5)
        return PretrainedReport((f"starts from {weights}",), "timm/x.a1", None, 32, half, half)

    monkeypatch.setattr(start, "load_pretrained", found)
    return asked


def test_a_run_gives_its_weights_and_its_model_to_another(trained, others, tmp_path):
    source, out = trained[0], tmp_path / "run"
    said = vertebra("train", others, "--weights", source, "--out", out, *QUICK)
    assert said.code == 0, said.err
    assert "recipe        finetune (A ConvNet" in said.out
    assert "starts from   the run run, licence not stated" in said.out
    assert f"starts from {source} (" in said.out
    assert "with a fresh head for 3 classes in place of its 3" in said.out
    assert "data.preprocess.image_size: 224 -> 16, the size that the weights" in said.out
    found = load(out)
    assert found.model == load(source).model
    assert found.pretrained.weights == str(source)
    assert read_record(RunDirectory(out)).pretrained == {"source": "the run run", "licence": None}


def test_the_path_of_a_run_is_kept_from_the_root(trained, others, tmp_path, monkeypatch):
    shutil.copytree(trained[0], tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    said = vertebra("train", others, "--weights=mine", "--out=run", *QUICK)
    assert said.code == 0, said.err
    assert load("run").pretrained.weights == str(tmp_path / "mine")


def test_pretrained_alone_takes_the_default_weights_and_the_gentle_recipe(
    others, tmp_path, published
):
    out = tmp_path / "run"
    said = vertebra(
        "train", others, "--pretrained", "--model=resnet18", "--set=model.width=0.125",
        "--download", "--out", out, *QUICK,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert published == [("resnet18", "default", True), ("resnet18", "default", False)]
    assert "starts from   timm/x.a1, licence not stated" in said.out
    found = leaves(load(out))
    assert found["name"] == "finetune"
    assert found["pretrained.weights"] == "default"
    assert found["data.preprocess.mean"] == [0.5, 0.5, 0.5]
    assert found["data.preprocess.image_size"] == 32


def test_another_recipe_can_start_from_weights_too(others, tmp_path, published):
    out = tmp_path / "run"
    said = vertebra(
        "train", others, "--weights=a1", "--recipe=bag-of-tricks", "--model=resnet18",
        "--set=model.width=0.125", "--set=schedule.warmup=0 steps", "--out", out, *QUICK,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert (load(out).name, load(out).pretrained.weights) == ("bag-of-tricks", "a1")


def test_plan_says_where_the_run_would_start(others, elsewhere, published):
    said = vertebra("plan", others, "--weights=a1", "--model=resnet18", *QUICK)
    assert said.code == 0, said.err
    assert "starts from   timm/x.a1, licence not stated" in said.out
    assert f"vertebra train {others} --model resnet18 --weights a1" in said.out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--pretrained"], "recipe 'finetune' brings no images; give yours"),
        (["data", "--weights=gone.safetensors"], "gone.safetensors is missing; give a .safeten"),
        (["data", "--weights=data"], "data is no run directory"),
        (["data", "--weights=zz"], "'zz' is not here; place it in FOLDER"),
    ],
)
def test_weights_that_are_not_there_are_refused_before_images_are_read(
    elsewhere, published, flags, told
):
    (elsewhere / "data").mkdir()  # holds no image, which would be an error of its own
    said = vertebra("train", *flags)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ") and told in said.err
    assert [path.name for path in elsewhere.iterdir()] == ["data"]


def test_a_model_that_is_not_the_runs_is_refused(trained, others):
    said = vertebra("train", others, "--weights", trained[0], "--model=resnet18", *QUICK)
    assert said.code == 2
    assert "which does not fit resnet18; leave out the model to take that of the run" in said.err


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({}, "digits"),
        ({"data": "digits"}, "digits"),
        ({"data": "x"}, "small"),
        ({"data": "x", "pretrained": True}, "finetune"),
        ({"data": "x", "weights": "a1"}, "finetune"),
        ({"data": "x", "weights": "a1", "recipe": "small"}, "small"),
    ],
)
def test_the_default_recipe_follows_from_what_else_is_said(flags, name):
    assert RecipeFlags(**flags).recipe_name == name


def test_the_flags_survive_being_said_again():
    assert words(RecipeFlags(data="x", pretrained=True, weights="a1")) == [
        "x", "--pretrained", "--weights", "a1",
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_start_from_the_same_weights_and_keep_frozen_levels(
    trained, others, tmp_path
):
    line = ["train", others, "--weights", trained[0], "--devices=2", "--out", tmp_path / "run"]
    flags = ["--set=fine_tuning.frozen_levels=2", "--set=length=3 steps", *QUICK[:2]]
    found = subprocess.run(
        [sys.executable, "-m", "vertebra", *map(str, line), *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("with a fresh head for 3 classes") == 1
    theirs, ours = (
        checkpoint.load(place / "checkpoints" / "best").tensors["model"]
        for place in (trained[0], tmp_path / "run")
    )
    for name, value in theirs.items():
        is_frozen = name.startswith(("backbone.stem.", "backbone.stages.0."))
        if is_frozen or name.startswith("backbone.stages.3."):
            assert torch.equal(ours[name], value) is is_frozen, name
