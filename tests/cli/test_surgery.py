"""`vertebra surgery`: a run in, a run with other norms out, and what that did to its accuracy."""

import json

import pytest
from tests.cli.conftest import vertebra


@pytest.fixture(scope="module")
def operated(trained, tmp_path_factory):
    """The folder of a run that was operated on and trained a little, and what was said."""
    out = tmp_path_factory.mktemp("surgery") / "run"
    words = ["--channels-per-group=4", "--recalibrate=3", "--standardise"]
    return out, vertebra("surgery", "norm", trained[0], "--out", out, *words)


def test_accuracy_is_told_before_between_and_after(operated, trained):
    out, said = operated
    assert said.code == 0, said.err
    starts = [line.split("  ")[0] for line in said.out.splitlines()]
    assert starts[-7:-4] == ["before", "norms replaced", "after 3 updates"]
    before = next(line for line in said.out.splitlines() if line.startswith("before"))
    known = json.loads((trained[0] / "record.json").read_text())["figures"]
    assert f"{known['top1']:.2%}" in before
    assert f"  vertebra evaluate {out}" in said.out


def test_layers_and_warnings_are_told(operated):
    said = operated[1].out
    assert ["norms", "channels", "groups"] in [line.split() for line in said.splitlines()]
    assert "its batch norms replaced, with its head for the same 3 classes" in said
    assert "note: the weights are a warm start, no conversion" in said
    assert "convolutions apply standardised filters" in said


def test_the_new_run_can_be_judged_asked_and_reported(operated, album):
    out = operated[0]
    judged = vertebra("evaluate", out, "--json")
    known = json.loads((out / "record.json").read_text())["figures"]
    assert json.loads(judged.out)["top1"] == known["top1"]
    asked = vertebra("predict", out, album / "val" / "left" / "0.png")
    assert asked.code == 0 and asked.out.count("\n") == 2
    assert vertebra("report", out).code == 0
    assert "channels_per_group" in vertebra("recipes", "show", out).out


def test_without_updates_the_run_waits_for_resume(trained, album, tmp_path):
    out = tmp_path / "run"
    said = vertebra("surgery", "norm", trained[0], "--out", out, "--groups=4")
    assert said.code == 0, said.err
    assert "after" not in said.out.split("Next:")[0].split("images")[1]
    assert f"  vertebra resume {out}" in said.out
    assert vertebra("evaluate", out).code == 0
    assert vertebra("report", out).code == 0
    assert vertebra("resume", out).code == 0
    assert (out / "record.json").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--groups=4", "--channels-per-group=4"], "give one"),
        (["--recalibrate=-1"], "recalibrate=-1"),
        (["--lr=0.1"], "together with recalibrate"),
    ],
)
def test_what_makes_no_sense_is_refused(words, told, trained, tmp_path):
    said = vertebra("surgery", "norm", trained[0], "--out", tmp_path / "run", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_say_its_norm_is_refused(album, tmp_path):
    tiny = ["--epochs=1", "--image-size=32", "--workers=0", "--device=cpu"]
    small = ["--set=model.width=0.125", "--set=model.depth=0.1"]
    model = ["--model=resnetv2_50x1_bit"]
    vertebra("train", album, "--out", tmp_path / "bit", *model, *tiny, *small)
    said = vertebra("surgery", "norm", tmp_path / "bit", "--out", tmp_path / "new")
    assert said.code == 2
    assert "has no field for its norm" in said.err
    assert not (tmp_path / "new").exists()
