import threading
from contextlib import closing

import pytest
from tests.studies.pretended import ends, pretend, study, until

from vertebra.errors import RecipeError
from vertebra.studies import task
from vertebra.studies.conduct import conduct
from vertebra.studies.executors.local import Local
from vertebra.studies.place import StudyDirectory, runs_of
from vertebra.studies.study import Study
from vertebra.studies.task import Task


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch):
    monkeypatch.setattr(task, "PROGRAM", pretend(tmp_path))
    monkeypatch.setattr(task, "POLL_SECONDS", 0.02)


@pytest.fixture
def place(tmp_path) -> StudyDirectory:
    return StudyDirectory(tmp_path / "study")


def tasks_of(asked: Study, place: StudyDirectory) -> list[Task]:
    return [place.task(each, threads=asked.threads) for each in runs_of(asked)]


def test_failures_do_not_stop_the_others(place):
    conduct(study("dies", "fails", "finishes"), place, Local(processes=2))
    assert ends(place) == {"dies-0": "failed", "fails-0": "failed"}
    assert place.is_finished("finishes-0")


def test_each_process_sees_its_own_device(place):
    conduct(study("finishes", seeds=4, threads=1), place, Local(devices=("2", "5")))
    seen = [path.read_text().split() for path in sorted(place.path.glob("runs/*/verbs.txt"))]
    assert len(seen) == 4
    assert {words[2] for words in seen} <= {"2", "5"}
    assert all(words[:2] == ["train", "1"] for words in seen)


def test_two_processes_run_at_once_and_a_third_waits(place):
    tasks = tasks_of(study("waits", seeds=3), place)
    stops = threading.Event()
    local = Local(processes=2, watch=lambda each: "enough" if stops.is_set() else None)
    found = []
    with closing(local.run(tasks)) as running:
        reader = threading.Thread(target=lambda: found.extend(running))
        reader.start()
        until(lambda: all((each.directory / "waits").exists() for each in tasks[:2]))
        assert not tasks[2].directory.exists()
        stops.set()
        reader.join()
    assert sorted(end.state for end in found) == ["stopped"] * 3


def test_closed_early_it_lets_runs_save_and_begins_no_other(place):
    tasks = tasks_of(study("finishes", "waits", seeds=2), place)
    with closing(Local(processes=2).run(tasks)) as running:
        assert next(running).state == "finished"
        until(lambda: (tasks[1].directory / "waits").exists())
    assert (tasks[1].directory / "saved").exists()
    assert not (tasks[3].directory / "waits").exists() or (tasks[3].directory / "saved").exists()


def test_it_can_run_again_after_it_was_closed(place):
    asked, local = study("finishes", seeds=2), Local()
    with closing(local.run(tasks_of(asked, place))) as running:
        next(running)
    conduct(asked, place, local)
    assert place.is_finished("finishes-1")


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(RecipeError, match="processes=0"):
        Local(processes=0)
    with pytest.raises(RecipeError, match="1,1 names one twice"):
        Local(devices=("1", "1"))
