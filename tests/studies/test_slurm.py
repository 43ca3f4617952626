import os
import signal
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec

import pytest
from tests.studies.pretended import pretend, study, until

from vertebra.errors import DeviceError, MissingExtra, RecipeError
from vertebra.studies import task
from vertebra.studies.executors import slurm as adapter
from vertebra.studies.executors.slurm import Slurm
from vertebra.studies.place import StudyDirectory, runs_of

pytestmark = pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is an extra")


@pytest.fixture
def place(tmp_path, monkeypatch) -> StudyDirectory:
    monkeypatch.setattr(adapter, "POLL_SECONDS", 0.05)
    return StudyDirectory(tmp_path / "study")


@pytest.fixture
def program(tmp_path, monkeypatch) -> None:
    """Lets this process, and those of jobs, only pretend to train."""
    words = pretend(tmp_path)
    monkeypatch.setattr(task, "PROGRAM", words)
    (tmp_path / "sitecustomize.py").write_text(
        f"import vertebra.studies.task\nvertebra.studies.task.PROGRAM = {words}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def slurm(place: StudyDirectory, cluster: str) -> Slurm:
    return Slurm(place.path / "slurm", partition="any", minutes=5, cluster=cluster)


def test_jobs_of_their_own_run_at_once_and_are_cancelled_saved(place, program):
    tasks = [place.task(each, threads=2) for each in runs_of(study("finishes", "fails", "waits"))]
    with closing(slurm(place, "local").run(tasks)) as running:
        found = sorted((next(running), next(running)), key=lambda end: end.task.name)
        until(lambda: (tasks[2].directory / "waits").exists())
    assert [end.state for end in found] == ["failed", "finished"]
    assert found[0].reason == "there are no images; give a folder that has some"
    assert (tasks[0].directory / "verbs.txt").read_text() == "train 2 \n"
    assert [end.task.name for end in found] == ["fails-0", "finishes-0"]
    until(lambda: (tasks[2].directory / "saved").exists())


def test_slurm_is_asked_for_one_job_a_run_in_an_array(place, tmp_path, monkeypatch):
    """A `sbatch` that keeps what it was given, as there is no Slurm here."""
    for name, text in (
        ("srun", "exit 1"),
        ("sbatch", f'cp "$1" {tmp_path}/script; echo "Submitted batch job 7"'),
        ("sacct", 'echo "JobID|State|NodeList"; echo "7_0|CANCELLED|"; echo "7_1|FAILED|"'),
        ("scancel", "exit 0"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 0)
    tasks = [place.task(each, threads=None) for each in runs_of(study("a", "b"))]
    executor = Slurm(place.path / "slurm", partition="long", minutes=90, cpus=4, gpus=1)
    found = {end.task.name: (end.state, end.reason) for end in executor.run(tasks)}
    assert {name: state for name, (state, _) in found.items()} == {
        "a-0": "interrupted",
        "b-0": "failed",
    }
    assert "state: FAILED" in found["b-0"][1]
    script = (tmp_path / "script").read_text()
    for line in (
        "--array=0-1%2",
        "--partition=long",
        "--time=90",
        "--cpus-per-task=4",
        "--gpus-per-node=1",
        "--nodes=1",
    ):
        assert f"#SBATCH {line}\n" in script


def test_a_job_that_is_told_to_end_lets_its_run_save(place, program):
    made = place.task(next(runs_of(study("waits"))), threads=None)
    text = (
        "import sys\nfrom pathlib import Path\n"
        "from vertebra.studies.executors.slurm import _Run\n"
        "from vertebra.studies.task import Task\n"
        "recipe, directory, log = map(Path, sys.argv[1:])\n"
        "_Run(0)(Task('waits-0', recipe, directory, log, None))\n"
    )
    words = [sys.executable, "-c", text, *map(str, (made.recipe, made.directory, made.log))]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as job:
        until(lambda: (made.directory / "waits").exists())
        job.terminate()
    assert job.returncode == -signal.SIGINT
    assert (made.directory / "saved").exists()


def test_a_job_that_is_queued_again_does_the_same(place):
    job, made = adapter._Run(1), place.task(next(runs_of(study("a"))), threads=None)
    later = job.checkpoint(made)
    assert (later.function, later.args) == (job, (made,))


def test_where_there_is_no_slurm_it_says_so(place):
    asked = [place.task(each, threads=None) for each in runs_of(study("a"))]
    with pytest.raises(DeviceError, match=r"takes no jobs here .*srun.*where `sbatch` works"):
        next(slurm(place, "slurm").run(asked))
    assert list(slurm(place, "slurm").run([])) == []


def test_values_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    for wrong in ({"minutes": 0}, {"cpus": 0}, {"gpus": -1}):
        with pytest.raises(RecipeError, match="give 1 minute"):
            Slurm(tmp_path, partition="any", **wrong)
    monkeypatch.setattr(adapter, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"vertebra\[slurm\]"):
        Slurm(tmp_path, partition="any")
