"""All runs of a study have one precision: fitted once, printed, and kept where it is continued."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import TINY, Said, vertebra
from tests.studies.made import OWN_LADDER

from vertebra.cli import studying
from vertebra.recipes import precision
from vertebra.recipes.codec import to_data
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.shelf import load
from vertebra.records import write_json
from vertebra.studies import costs
from vertebra.studies.place import StudyDirectory
from vertebra.studies.study import Study, study_to_data

DIGITS = ["--data=digits", "--seeds=1", *TINY[1:], "--image-size=32"]
TOLD = (
    "fitted  execution.precision: fp32 -> bf16, a pass is 1.8 times as fast here; the same for all"
)

COMMANDS = (
    ["ladder", "resnet-rs"],
    ["ablate", "digits", "small"],
    ["decay"],
    ["data", "--fractions", "0.5", "1"],
    ["scale", "--untimed", "--widths", "1", "--depths", "1", "2", "--sizes", "24", "32"],
    ["resolution", "--members=2"],
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """A CPU on which whatever is measured is faster in bf16; gives what has been."""
    seen: list[Recipe] = []

    def gain(recipe: Recipe, device: object) -> float:
        seen.append(recipe)
        return 1.84

    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(precision, "WORTH_MEASURING", 0.0)
    monkeypatch.setattr(precision, "gain", gain)
    return seen


Plan = Callable[..., tuple[Study, Said]]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> Plan:
    """Gives the study that a command would run, and what it says; no network is timed for it."""
    planned: list[Study] = []
    monkeypatch.setattr(costs, "interleaved", lambda works, **_: {each: [[1.0]] for each in works})
    monkeypatch.setattr(studying, "answer", lambda study, flags: planned.append(study) or 0)

    def plan(*words: str) -> tuple[Study, Said]:
        said = vertebra("study", *words)
        assert said.code == 0, said.err
        return planned[-1], said

    return plan


def precisions(study: Study) -> set[str]:
    return {cell.recipe.execution.precision for cell in study.cells}


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_row_has_the_precision_that_suits_the_first(words, plan, measured):
    study, said = plan(*words, *DIGITS)
    assert precisions(study) == {"bf16"} and len(study.cells) > 1
    assert said.out.splitlines().count(TOLD) == 1
    assert len(measured) == 1


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_wish_stays_and_nothing_is_measured(words, plan, measured):
    study, said = plan(*words, *DIGITS, "--precision=fp32")
    assert precisions(study) == {"fp32"}
    study, _ = plan(*words, *DIGITS, "--precision=bf16")
    assert precisions(study) == {"bf16"}
    assert "fitted" not in said.out and not measured


@pytest.mark.parametrize(
    "words",
    [
        ["scale", "--untimed", "--widths", "1", "--depths", "1", "--sizes", "8", "32"],
        ["ladder", "own.json", "--full"],
    ],
    ids=lambda words: words[0],
)
def test_all_stay_in_fp32_where_one_row_would_be_refused(words, plan, measured):
    steps = [{"name": "+ small images", "changes": {"data.preprocess.image_size": 8}}]
    write_json(Path("own.json"), {**OWN_LADDER, "steps": steps})
    study, said = plan(*words, *DIGITS)
    assert precisions(study) == {"fp32"} and len(study.cells) > 1
    assert "fitted" not in said.out


@pytest.mark.parametrize("flag", ["--ray=auto", "--slurm=gpu"])
def test_on_other_machines_nothing_is_fitted_and_that_is_told(flag, plan, measured):
    study, said = plan("decay", *DIGITS, flag)
    assert precisions(study) == {"fp32"} and not measured
    assert "execution.precision: fp32 stays on other machines; give --precision bf16" in said.out


def test_a_study_that_is_continued_keeps_its_own(plan, measured, monkeypatch):
    first, _ = plan("decay", *DIGITS)
    write_json(StudyDirectory(Path("there")).study, study_to_data(first))
    monkeypatch.setattr(precision, "gain", lambda recipe, device: 1.0)  # in another mood
    again, said = plan("decay", *DIGITS, "--out=there")
    assert again.cells == first.cells and precisions(again) == {"bf16"}
    assert "fitted" not in said.out
    other, _ = plan("decay", *DIGITS, "--out=there", "--precision=fp32")
    assert precisions(other) == {"fp32"}


def test_stored_recipes_are_replayed_as_they_stand(plan, measured):
    write_json(Path("a.json"), to_data(load("digits")))
    study, _ = plan("ablate", "a.json", "small", *DIGITS)
    assert precisions(study) == {"fp32"} and not measured


def test_rows_of_several_networks_share_one_decision(plan, measured):
    words = "data", "--fractions", "0.5", "1", "--models", "resnet18", "resnet34"
    study, _ = plan(*words, "--data=digits", "--seeds=1", "--device=cpu", "--image-size=32")
    assert precisions(study) == {"bf16"} and len(measured) == 1
