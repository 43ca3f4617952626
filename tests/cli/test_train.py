"""`vertebra train`: what it says, what it leaves, and what its flags change."""

import json
import subprocess
import sys

import pytest
from tests.cli.conftest import TINY, vertebra

from vertebra.cli.flags import words
from vertebra.cli.train import Arguments
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import leaves
from vertebra.records import RunDirectory, read_record


def test_a_run_says_what_was_found_what_ran_what_came_out_and_what_is_next(trained, album):
    out, said = trained
    assert "train      36     36         0" in said.out
    assert "3: left, middle, right" in said.out
    assert (
        "used as   train 33, minival 3, val 18: val is the source's own; minival is 3" in said.out
    )
    assert "recipe      small (Revisiting ResNets (2021)" in said.out
    assert "images      3 x 16 x 16, 8 a batch" in said.out
    assert "length      2.182 epochs, 9 steps" in said.out
    assert "fitted      data.batch_size: 64 -> 8, 33 images to learn from" in said.out
    assert "            optimizer.lr: 0.1 -> 0.0125, the rate moves with the batch" in said.out
    record = read_record(RunDirectory(out))
    shown = f"val top-1 accuracy         {record.figures['top1']:.2%}, 95% interval"
    assert shown in said.out and "(18 images)" in said.out
    assert f"report                     {out / 'report.html'}" in said.out
    next_lines = said.out.splitlines()[-3:]
    assert next_lines == [
        "Next:",
        f"  vertebra evaluate {out}",
        f"  vertebra predict {out} IMAGE",
    ]
    assert said.err == ""


def test_a_run_leaves_every_file_that_the_run_directory_promises(trained):
    out, _ = trained
    promised = [path for path in vars(RunDirectory(out)).values() if path != out]
    assert [path.name for path in promised if not path.exists()] == []
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in promised)


def test_the_stored_recipe_is_what_ran_with_its_images_from_the_root(trained, album):
    found = leaves(load(trained[0]))
    assert found["data.source"] == str(album)
    assert found["model.width"] == 0.125
    assert found["data.preprocess.image_size"] == 16
    assert found["length"] == "2 epochs"
    assert found["data.batch_size"] == 8


def test_a_stored_recipe_is_replayed_as_it_stands(trained, tmp_path):
    out, _ = trained
    said = vertebra("train", "--recipe", out, "--out", tmp_path / "again")
    assert said.code == 0, said.err
    assert "fitted" not in said.out
    assert load(tmp_path / "again") == load(out)
    first, again = (read_record(RunDirectory(place)) for place in (out, tmp_path / "again"))
    assert again.figures == first.figures
    for kind in ("best", "last"):
        names = [f"checkpoints/{kind}/model.safetensors", f"checkpoints/{kind}/method.safetensors"]
        for name in names:
            if (out / name).exists():
                assert (out / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_runs_get_the_next_free_folder_named_after_the_data(album, elsewhere):
    for number in (1, 2):
        said = vertebra("train", album, "--set=length=1 step", *TINY)
        assert said.code == 0, said.err
        assert (elsewhere / f"runs/album-{number}/record.json").is_file()
        assert f"output      runs/album-{number}" in said.out


def test_every_flag_reaches_its_place_in_the_recipe(album, tmp_path):
    out = tmp_path / "run"
    said = vertebra(
        "train", album, "--out", out, "--recipe=bag-of-tricks", "--model=resnet18",
        "--epochs=0.5", "--image-size=20", "--batch-size=12", "--lr=0.03", "--seed=5",
        "--device=cpu", "--precision=bf16", "--workers=1", "--set=optimizer.momentum=0.8",
        "--set=data.augment.mixing=null", "--set=schedule.warmup=1 step", "--tensorboard",
    )  # fmt: skip
    assert said.code == 0, said.err
    expected = {
        "name": "bag-of-tricks",
        "model.block": "basic",
        "length": "0.5 epochs",
        "data.preprocess.image_size": 20,
        "data.batch_size": 12,
        "optimizer.lr": 0.03,
        "seed": 5,
        "execution.device": "cpu",
        "execution.precision": "bf16",
        "execution.workers": 1,
        "optimizer.momentum": 0.8,
        "data.augment.mixing": None,
        "schedule.warmup": "1 step",
    }
    found = leaves(load(out))
    assert {path: found.get(path) for path in expected} == expected
    assert list((out / "tensorboard").glob("events*"))


def test_a_batch_size_moves_the_rate_unless_that_is_given(album, tmp_path):
    flags = ["--set=length=1 step", *TINY]
    vertebra("train", album, "--batch-size=32", "--out", tmp_path / "a", *flags)
    vertebra("train", album, "--batch-size=32", "--lr=0.3", "--out", tmp_path / "b", *flags)
    assert load(tmp_path / "a").phases[0].optimizer.lr == pytest.approx(0.05)
    assert load(tmp_path / "b").phases[0].optimizer.lr == 0.3


def test_unreadable_files_are_counted_and_named_and_the_rest_trains(album, tmp_path):
    bad = tmp_path / "album"
    (bad / "left").mkdir(parents=True)
    (bad / "right").mkdir()
    for name in ("left", "right"):
        for file in (album / "train" / name).iterdir():
            (bad / name / file.name).write_bytes(file.read_bytes())
    (bad / "left" / "broken.png").write_bytes(b"no picture")
    said = vertebra("train", bad, "--set=length=1 step", "--out", tmp_path / "run", *TINY)
    assert said.code == 0, said.err
    assert "train      25     24         1" in said.out
    assert "refused in train: left/broken.png: no known image format" in said.out
    account = read_record(RunDirectory(tmp_path / "run")).data["train"]
    assert account["found"] == account["used"] + len(account["refused"]) == 25


def test_words_say_the_same_on_a_command_line():
    arguments = Arguments(
        data="my photos", epochs=2.0, lr=1e-4, set=("a=1", "b=x y"), compile=True, devices=2
    )
    assert words(arguments) == [
        "my photos", "--epochs", "2", "--lr", "0.0001", "--compile",
        "--set", "a=1", "--set", "b=x y", "--devices", "2",
    ]  # fmt: skip
    assert words(Arguments()) == []


@pytest.mark.slow
def test_two_processes_train_as_one(album, tmp_path):
    line = ["train", album, "--epochs=1", "--devices=2", "--out", tmp_path / "run", *TINY]
    found = subprocess.run(
        [sys.executable, "-m", "vertebra", *map(str, line)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("split   found") == 1
    environment = json.loads((tmp_path / "run" / "environment.json").read_text("utf-8"))
    assert environment["processes"] == 2
