from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.studies.made import RECIPE
from tests.studies.pretended import study

from vertebra.cli.study_flags import ExecutorFlags, StudyFlags
from vertebra.errors import RecipeError
from vertebra.recipes.vary import vary
from vertebra.studies.executors.local import Local
from vertebra.studies.executors.ray import Ray
from vertebra.studies.executors.slurm import Slurm
from vertebra.studies.place import StudyDirectory
from vertebra.studies.study import Cell, Study


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ray": "auto", "slurm": "gpu"}, "--ray and --slurm each say where runs go"),
        ({"ray": "auto", "processes": 2}, "--processes and --ray each say"),
        ({"devices": "0,1", "processes": 2}, "--processes and --devices each say"),
        (
            {"ray": "auto", "halving": True},
            "--halving needs runs on this machine; leave it or --ray",
        ),
        ({"slurm": "gpu", "halving": True}, "leave it or --slurm out"),
        ({"gpus": 1}, "--gpus is for --ray and --slurm"),
        ({"slurm_time": 5}, "--slurm-time is for --slurm"),
        ({"processes": 0}, "processes=0"),
    ],
)
def test_flags_that_contradict_each_other_are_refused_in_a_sentence(
    tmp_path, given: dict[str, Any], said: str
):
    place = StudyDirectory(tmp_path / "study")
    with pytest.raises(RecipeError, match=said) as error:
        ExecutorFlags(**given).executor(study("a"), place)
    assert "\n" not in str(error.value)
    assert not place.path.exists()


@pytest.mark.parametrize(
    ("given", "kind", "extra"),
    [
        ({}, Local, "pip"),
        ({"devices": "0,1"}, Local, "pip"),
        ({"halving": True}, Local, "optuna"),
        ({"ray": "local", "gpus": 1}, Ray, "ray"),
        ({"ray": "ray://head:10001"}, Ray, "ray"),
        ({"slurm": "gpu", "slurm_time": 30, "gpus": 2}, Slurm, "submitit"),
    ],
)
def test_each_place_can_be_asked_for(tmp_path, given: dict[str, Any], kind, extra):
    if extra != "pip" and find_spec(extra) is None:
        pytest.skip(f"{extra} is an extra")
    place = StudyDirectory(tmp_path / "study")
    assert isinstance(ExecutorFlags(**given).executor(study("a"), place), kind)


def test_rows_that_halving_cannot_judge_are_named(tmp_path, capsys):
    pytest.importorskip("optuna")
    late = vary(RECIPE, {"selection.every": RECIPE.phases[0].length})
    cells = (Cell(name="late", recipe=late), Cell(name="a", recipe=RECIPE))
    asked = Study(kind="ablate", question="?", cells=cells)
    ExecutorFlags(halving=True).executor(asked, StudyDirectory(tmp_path))
    assert "never stopped, as they say nothing before their end: late" in capsys.readouterr().out


def test_what_is_made_again():
    assert ExecutorFlags().again == ()
    assert ExecutorFlags(retry=True).again == ("failed", "stopped")
    assert ExecutorFlags(retry=True, halving=True).again == ("failed",)


def test_threads_of_a_run_follow_from_where_it_goes():
    assert StudyFlags().threads_of_a_run() is None
    assert StudyFlags(threads=3, ray="auto").threads_of_a_run() == 3
    assert StudyFlags(ray="auto").threads_of_a_run() == 1
    assert StudyFlags(slurm="gpu").threads_of_a_run() == 1
    assert StudyFlags(processes=1000).threads_of_a_run() == 1


def test_the_folder_of_slurm_is_the_studys(tmp_path, monkeypatch):
    if find_spec("submitit") is None:
        pytest.skip("submitit is an extra")
    monkeypatch.chdir(tmp_path)
    executor = ExecutorFlags(slurm="gpu").executor(study("a"), StudyDirectory(Path("study")))
    assert isinstance(executor, Slurm)
    assert executor._folder == tmp_path / "study" / "slurm"
