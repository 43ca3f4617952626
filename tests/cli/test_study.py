"""`vertebra study`: its questions, its rows before any has run, and what is refused."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import vertebra
from tests.cli.test_bad_input import refused
from tests.studies.made import OWN_LADDER

from vertebra.cli.main import STUDIES
from vertebra.recipes.codec import to_data
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import vary
from vertebra.studies.shelf import LADDERS


@pytest.fixture
def recipes(elsewhere):
    """Two recipes for digits in the working directory, a.json and b.json, that differ in three."""
    a = load("digits")
    b = vary(a, {"method.loss.smoothing": 0.0, "dropout": 0.1, "length": "2 epochs"})
    for name, recipe in (("a", a), ("b", b)):
        Path(f"{name}.json").write_text(json.dumps(to_data(recipe)), encoding="utf-8")
    return elsewhere


def left(folder):
    """Returns what a command has left in a folder, recipes aside."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("a.json", "b.json"))


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_without_a_question_the_questions_are_listed(arguments):
    said = vertebra("study", *arguments)
    assert said.code == 0
    listed = [line.split()[0] for line in said.out.splitlines() if line.startswith("  ")]
    assert listed[: len(STUDIES)] == list(STUDIES)
    assert max(map(len, said.out.splitlines())) <= 100


def test_an_unknown_question_gets_the_nearest():
    refused(vertebra("study", "laddr"), "unknown study 'laddr'; did you mean 'ladder'?")


def test_help_of_a_question_explains_its_flags():
    said = vertebra("study", "ladder", "--help")
    assert said.code == 0
    for flag in ("[NAME]", "--full", "--leave-one-out", "--seeds", "--dry-run", "--processes"):
        assert flag in said.out
    assert "--seed " not in said.out and "--recipe" not in said.out


def test_ladder_alone_lists_the_ladders():
    lines = vertebra("study", "ladder").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(LADDERS)
    assert max(len(line.rstrip()) for line in lines) <= 90


@pytest.mark.parametrize("name", LADDERS)
def test_a_dry_run_of_a_ladder_shows_its_rows_and_leaves_nothing(elsewhere, name):
    said = vertebra("study", "ladder", name, "--data=digits", "--dry-run", "--seeds=2")
    assert said.code == 0, said.err
    assert said.out.startswith(f"Which steps of {name} help on digits, at small scale?\n")
    assert "runs\n" in said.out and " rows x 2 seeds = " in said.out
    assert left(elsewhere) == []


def test_flags_change_every_row_and_steps_go_on_from_there(elsewhere):
    flags = ["--epochs=9", "--set=model.width=0.125", "--dry-run"]
    said = vertebra("study", "ladder", "resnet-rs", *flags)
    assert said.code == 0, said.err
    assert "length 9 epochs -> 35 epochs" in " ".join(said.out.split())
    assert "11 rows x 3 seeds = 33 runs" in said.out


def test_a_ladder_can_be_a_file(elsewhere):
    Path("own.json").write_text(json.dumps(OWN_LADDER), encoding="utf-8")
    said = vertebra("study", "ladder", "own.json", "--full", "--dry-run", "--seeds=1")
    assert said.code == 0, said.err
    assert "Which steps of own.json help on digits?" in said.out
    assert "method.loss.smoothing 0 -> 0.1" in said.out
    assert "2 rows x 1 seed = 2 runs" in said.out


def test_a_dry_run_of_an_ablation_shows_each_difference_as_a_row(recipes):
    said = vertebra("study", "ablate", "a.json", "b.json", "--dry-run")
    assert said.code == 0, said.err
    words = " ".join(said.out.split())
    assert words.startswith("What leads from a.json to b.json on digits?")
    for row in ("+ method.loss.smoothing 0.1 -> 0", "+ dropout 0 -> 0.1", "2 epochs"):
        assert row in words
    assert "4 rows x 3 seeds = 12 runs" in said.out
    assert left(recipes) == []


def test_wanted_steps_come_first_and_leave_one_out_adds_rows(recipes):
    flags = ["--step=calm: dropout, method.loss.smoothing", "--leave-one-out", "--dry-run"]
    said = vertebra("study", "ablate", "a.json", "b.json", *flags)
    assert said.code == 0, said.err
    rows = [line.split("  ")[0].strip() for line in said.out.splitlines()]
    assert rows.index("+ calm") == rows.index("a.json") + 1
    assert "all but calm" in rows
    assert "4 rows x 3 seeds = 12 runs" in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ladder", "resnetrs"], "unknown ladder 'resnetrs'; did you mean 'resnet-rs'?"),
        (["ladder", "a.json"], "a.json is no ladder: unknown key 'kind'"),
        (["ladder", "resnet-rs", "--data=nowhere"], "nowhere does not exist; give a path"),
        (["ladder", "resnet-rs", "--seeds=0"], "a study has no seeds"),
        (["ladder", "resnet-rs", "--threads=0"], "threads=0; give at least 1, or nothing"),
        (["ladder", "resnet-rs", "--model=levit_128s"], "step '+ squeeze-and-excitation' does not"),
        (["ladder", "resnest", "--leave-one-out"], "without '+ split attention, pooled first', st"),
        (["ablate", "digit", "small"], "unknown recipe 'digit'; did you mean 'digits'?"),
        (["ablate", "a.json", "a.json"], "the recipes do not differ; `vertebra recipes A B`"),
        (["ablate", "a.json", "b.json", "--step=it: dropuot"], "nothing differs at dropuot; did"),
        (["ablate", "a.json", "b.json", "--step=it:"], "names no path; write name: path, path"),
        (["report", "nowhere"], "nowhere is no study (it has no study.json); give a folder that"),
        (["resume", "nowhere"], "nowhere is no study (it has no study.json); give a folder that"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_left(recipes, arguments, told):
    dry = ["--dry-run"] if arguments[0] in ("ladder", "ablate") else []
    refused(vertebra("study", *arguments, *dry), told)
    assert left(recipes) == []


def test_a_folder_with_something_else_is_left_alone(recipes):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("mine", encoding="utf-8")
    refused(
        vertebra("study", "ablate", "a.json", "b.json", "--out=mine"),
        "mine is not empty; choose another folder",
    )
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("flags", [["--processes=0"], ["--processes=2", "--devices=0,1"]])
def test_places_that_cannot_be_are_refused_before_anything_is_written(recipes, flags):
    said = vertebra("study", "ablate", "a.json", "b.json", *flags)
    assert said.code == 2 and "error: " in said.err and "Traceback" not in said.err
    assert left(recipes) == []
