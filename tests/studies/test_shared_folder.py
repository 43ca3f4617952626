import threading
import time

import pytest
from tests.studies.pretended import pretend, study

from vertebra.studies import task
from vertebra.studies.executors import shared_folder
from vertebra.studies.executors.shared_folder import carry_out_there, seen_from_here
from vertebra.studies.place import StudyDirectory, runs_of
from vertebra.studies.task import End, Task


@pytest.fixture
def finishing(tmp_path, monkeypatch) -> Task:
    monkeypatch.setattr(task, "PROGRAM", pretend(tmp_path))
    planned = next(runs_of(study("finishes")))
    return StudyDirectory(tmp_path / "study").task(planned, threads=None)


def test_a_machine_that_does_not_see_the_folder_says_so(finishing):
    finishing.recipe.unlink()
    end = carry_out_there(finishing, 0)
    assert end.state == "failed"
    assert f"does not see {finishing.recipe}; make the study in a folder" in end.reason
    assert not finishing.log.exists()


@pytest.mark.parametrize(("gpus", "seen"), [(0, ""), (1, "3")])
def test_a_run_without_gpus_sees_none(finishing, monkeypatch, gpus, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert carry_out_there(finishing, gpus).state == "finished"
    said = (finishing.directory / "verbs.txt").read_text().rstrip("\n")
    assert said.split(" ")[2] == seen


def test_a_record_that_does_not_get_here_is_told_in_a_sentence(finishing, monkeypatch):
    monkeypatch.setattr(shared_folder, "VISIBLE_SECONDS", 0.1)
    end = seen_from_here(End(finishing, "finished", "", 5.0))
    assert (end.state, end.seconds) == ("failed", 5.0)
    assert "record.json is not to be seen here; make the study in a folder" in end.reason


def test_a_record_that_gets_here_late_is_waited_for(finishing):
    end = End(finishing, "finished", "", 5.0)
    finishing.directory.mkdir(parents=True)

    def arrive() -> None:
        time.sleep(0.2)
        (finishing.directory / "record.json").touch()

    late = threading.Thread(target=arrive)
    late.start()
    assert seen_from_here(end) == end
    late.join()


def test_a_failure_is_not_waited_for(finishing):
    end = End(finishing, "failed", "why", 5.0)
    assert seen_from_here(end) == end
