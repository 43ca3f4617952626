import signal
import sys
from pathlib import Path

import pytest
from tests.studies.pretended import pretend, study

from vertebra.studies import task
from vertebra.studies.place import StudyDirectory, runs_of
from vertebra.studies.task import Task, carry_out


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch):
    monkeypatch.setattr(task, "PROGRAM", pretend(tmp_path))
    monkeypatch.setattr(task, "POLL_SECONDS", 0.02)


def the_task(folder: Path, told: str, *, threads: int | None = None) -> Task:
    return StudyDirectory(folder / "study").task(next(runs_of(study(told))), threads=threads)


def test_a_run_that_ends_well_has_finished(tmp_path):
    made = the_task(tmp_path, "finishes", threads=3)
    end = carry_out(made, environment={"CUDA_VISIBLE_DEVICES": "5"})
    assert (end.task, end.state, end.reason) == (made, "finished", "")
    assert (made.directory / "verbs.txt").read_text().split() == ["train", "3", "5"]


def test_threads_are_left_alone_unless_given(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    made = the_task(tmp_path, "finishes")
    carry_out(made)
    assert (made.directory / "verbs.txt").read_text().split()[1] == "7"


def test_a_failed_run_says_its_last_words(tmp_path):
    end = carry_out(the_task(tmp_path, "fails"))
    assert end.state == "failed"
    assert end.reason == "there are no images; give a folder that has some"


def test_a_killed_run_names_the_signal_and_the_usual_cause(tmp_path):
    end = carry_out(the_task(tmp_path, "dies"))
    assert (end.state, end.reason) == ("failed", "ended by signal 9, usually for lack of memory")


def test_a_silent_failure_has_its_exit_code(tmp_path, monkeypatch):
    monkeypatch.setattr(task, "PROGRAM", [sys.executable, "-S", "-c", "raise SystemExit(3)"])
    assert carry_out(the_task(tmp_path, "fails")).reason == "ended with exit code 3"


def test_a_run_that_is_watched_saves_and_has_stopped_for_the_reason_given(tmp_path):
    made = the_task(tmp_path, "waits")

    def watch(each: Task) -> str | None:
        return "it is late" if (each.directory / "waits").exists() else None

    end = carry_out(made, watch=watch)
    assert (end.state, end.reason) == ("stopped", "it is late")
    assert (made.directory / "saved").exists()


@pytest.mark.parametrize("code", [75, 130, -signal.SIGTERM])
def test_a_run_that_someone_else_stopped_was_interrupted(tmp_path, monkeypatch, code):
    text = f"raise SystemExit({code})" if code > 0 else "import os; os.kill(os.getpid(), 15)"
    monkeypatch.setattr(task, "PROGRAM", [sys.executable, "-S", "-c", text])
    assert carry_out(the_task(tmp_path, "waits")).state == "interrupted"


def test_a_run_that_had_begun_goes_on(tmp_path):
    made = the_task(tmp_path, "finishes")
    carry_out(made)
    carry_out(made)
    verbs = (made.directory / "verbs.txt").read_text().splitlines()
    assert [line.split()[0] for line in verbs] == ["train", "resume"]


def test_what_a_kill_left_half_opened_is_begun_anew(tmp_path):
    made = the_task(tmp_path, "finishes")
    made.directory.mkdir(parents=True)
    (made.directory / "classes.json").touch()
    assert carry_out(made).state == "finished"
    assert not (made.directory / "classes.json").exists()


def test_an_error_while_it_runs_stops_the_process_and_goes_on_up(tmp_path):
    made = the_task(tmp_path, "waits")

    def watch(each: Task) -> str | None:
        if (each.directory / "waits").exists():
            raise KeyboardInterrupt
        return None

    with pytest.raises(KeyboardInterrupt):
        carry_out(made, watch=watch)
    assert (made.directory / "saved").exists()
