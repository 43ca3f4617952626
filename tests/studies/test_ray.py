import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec

import pytest
from tests.studies.pretended import ends, study, until

from vertebra.errors import DeviceError, MissingExtra, RecipeError
from vertebra.studies.conduct import conduct
from vertebra.studies.executors import ray as adapter
from vertebra.studies.executors.ray import Ray
from vertebra.studies.place import StudyDirectory, runs_of
from vertebra.studies.study import Study
from vertebra.studies.task import End, Task

# not imported here: the executor says how it is to be
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an extra")


def pretended():
    """Returns what a worker makes of a task; Ray sends a function that is no module's as it is."""

    def make(task: Task, gpus: int) -> End:
        import time
        from pathlib import Path

        told = task.name.partition("-")[0]
        task.directory.mkdir(parents=True)
        (task.directory / "process").write_text(str(os.getpid()))
        if told == "breaks":
            raise OSError("the disk is full")
        if told == "dies":
            os.kill(os.getpid(), 9)
        if told == "waits":
            try:
                (task.directory / "waits").touch()
                for _ in range(600):
                    time.sleep(0.1)
            except BaseException:
                time.sleep(0.5)
                Path(task.directory / "saved").touch()
                raise
        (task.directory / "record.json").write_text("{}")
        return End(task, "finished", "", 1.0)

    return make


@pytest.fixture
def place(tmp_path, monkeypatch) -> StudyDirectory:
    monkeypatch.setattr(adapter, "_carry_out", pretended())
    return StudyDirectory(tmp_path / "study")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray with two workers, started as the executor starts its own."""
    with Ray(workers=2)._connected():
        yield


def tasks_of(asked: Study, place: StudyDirectory) -> list[Task]:
    return [place.task(each, threads=None) for each in runs_of(asked)]


def test_runs_go_to_two_workers_at_once_and_failures_do_not_stop_them(place, cluster):
    asked = study("finishes", "breaks", "dies", seeds=2)
    conduct(asked, place, Ray())
    assert ends(place) == {
        f"{told}-{seed}": "failed" for told in ("breaks", "dies") for seed in (0, 1)
    }
    assert place.why_not("breaks-0")["reason"] == "Ray: OSError: the disk is full"
    assert place.why_not("dies-0")["reason"].startswith("Ray: The worker died")
    assert place.is_finished("finishes-0") and place.is_finished("finishes-1")


def test_closed_early_it_cancels_and_lets_runs_save(place, cluster):
    tasks = tasks_of(study("finishes", "waits", seeds=2), place)
    with closing(Ray().run(tasks)) as running:
        next(running)
        until(lambda: (tasks[1].directory / "waits").exists())
    begun = [each for each in tasks if (each.directory / "waits").exists()]
    assert begun
    assert all((each.directory / "saved").exists() for each in begun)


def test_a_ray_that_was_there_is_left_alone(place, cluster):
    import ray

    conduct(study("finishes"), place, Ray())
    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 2


def test_all_that_listens_listens_on_this_machine_alone(cluster):
    import ray

    assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"]


def test_a_run_that_no_machine_has_room_for_is_refused(place, cluster):
    with pytest.raises(DeviceError, match=r"takes 3 cores and 0 GPUs.*there are 2 and 0"):
        conduct(study("finishes"), place, Ray(cpus=3))
    with pytest.raises(DeviceError, match="and 9 GPUs"):
        conduct(study("finishes"), place, Ray(gpus=9))


def test_the_environment_and_signals_are_left_as_they_were(monkeypatch):
    earlier, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with adapter._environment({"RAY_TEST": "1"}), adapter._own_signals():
        assert os.environ["RAY_TEST"] == "1"
        os.environ["RAY_OTHER"] = "1"
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert dict(os.environ) == earlier
    assert signal.getsignal(signal.SIGTERM) is handler


def test_an_address_where_nothing_answers_is_told_at_once(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(DeviceError, match=f"no Ray at '{address}'"):
            next(Ray(address).run([]))
    with pytest.raises(DeviceError, match="give HOST:PORT"):
        next(Ray("somewhere").run([]))


def test_values_that_do_not_fit_are_refused(monkeypatch):
    for wrong in ({"cpus": 0}, {"gpus": -1}, {"workers": 0}, {"address": "auto", "workers": 2}):
        with pytest.raises(RecipeError, match="give 1"):
            Ray(**wrong)
    monkeypatch.setattr(adapter, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"vertebra\[ray\]"):
        Ray()
