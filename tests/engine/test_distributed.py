"""Two processes against one, and how they are started and stopped."""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.engine.pair import act
from torch.testing import assert_close

from vertebra.engine import distributed
from vertebra.engine.distributed import World, is_launched, joined, launch, own_command
from vertebra.errors import DeviceError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder in which two processes wrote what they did, and the exit code."""
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        patch.setenv("OMP_NUM_THREADS", "1")
        code = launch([sys.executable, "-m", "tests.engine.pair", str(folder)], 2)
    return folder, code


@pytest.fixture(scope="module")
def both(pair):
    """What each of the two processes found: tensors and values."""
    return [
        (
            load_file(pair[0] / f"{rank}.safetensors"),
            json.loads((pair[0] / f"{rank}.json").read_text()),
        )
        for rank in range(2)
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process finds with the same batches."""
    folder = tmp_path_factory.mktemp("alone")
    act(World(), folder)
    return load_file(folder / "0.safetensors"), json.loads((folder / "0.json").read_text())


def test_two_processes_train_as_one_with_the_same_batch(both, alone):
    names = [name for name in alone[0] if name.startswith("model.")]
    assert len(names) == 4
    for tensors, values in both:
        assert values["losses"] == pytest.approx(alone[1]["losses"], rel=1e-5)
        for name in names:
            assert_close(tensors[name], alone[0][name], atol=1e-6, rtol=1e-5)
            assert torch.equal(tensors[name], both[0][0][name])


def test_sums_of_two_processes_are_those_of_one(both, alone):
    for tensors, _ in both:
        assert torch.equal(tensors["confusion"], alone[0]["confusion"])
        assert tensors["confusion"].sum() == 25
        assert_close(tensors["nll"], alone[0]["nll"], atol=1e-12, rtol=1e-12)


def test_processes_agree_on_flags_totals_and_buffers(both):
    for tensors, values in both:
        assert values["any"] == [True, False]
        assert values["total"] == [3, 4]
        assert tensors["buffers"].tolist() == [1.0, 1.0, 1.0]


def test_a_signal_to_one_process_stops_both_after_the_same_step(both, alone):
    assert alone[1]["stopped"] == {"saved": [2], "said": "stopped by SIGTERM after step 2, saved"}
    # of two each learns an update later what the other was asked
    assert both[0][1]["stopped"] == {
        "saved": [3],
        "said": "stopped by a signal after step 3, saved",
    }
    assert both[1][1]["stopped"] == {"saved": [], "said": "stopped by SIGTERM after step 3, saved"}


def test_a_loss_that_is_not_finite_in_one_process_stops_both(both, alone):
    assert both[0][1]["failed"] == both[1][1]["failed"] == alone[1]["failed"]
    assert "at step 2 of 2" in alone[1]["failed"]


def test_a_process_that_is_left_alone_says_so(pair):
    folder, code = pair
    assert code == 7
    assert "process 0 of 2 lost another one" in (folder / "lost.txt").read_text()


def test_one_process_alone_exchanges_nothing():
    value = torch.tensor([1.0])
    with joined("cpu") as world:
        assert world == World()
        assert world.leads
        assert world.total(value) is value
        assert world.any(True)
        world.wait()


def test_a_process_finds_its_place_in_the_environment(monkeypatch):
    assert not is_launched()
    assert World.of_environment() == World()
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert is_launched()
    assert World.of_environment() == World(rank=3, size=8, local_rank=1)
    assert not World.of_environment().leads


def test_a_port_that_is_taken_is_an_error_with_its_number(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        place = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        message = f"127.0.0.1:{port} .* choose a free MASTER_PORT"
        with pytest.raises(DeviceError, match=message), joined("cpu"):
            pass


def quick(code: str) -> list[str]:
    """Returns a command that starts at once: it does not import torch."""
    start = "import os, sys, time, signal; rank = int(os.environ['RANK']); "
    return [sys.executable, "-S", "-c", start + code]


def writing(folder: Path, text: str) -> str:
    """Returns code that writes `text`, an expression, into a file with the rank's name."""
    return f"open({str(folder)!r} + f'/{{rank}}', 'w').write({text}); "


def test_each_process_is_told_its_place(tmp_path):
    names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"]
    assert launch(quick(writing(tmp_path, f"' '.join(os.environ[n] for n in {names})")), 3) == 0
    for rank in range(3):
        assert (tmp_path / str(rank)).read_text() == f"{rank} {rank} 3 127.0.0.1"


def test_the_cores_are_shared_unless_someone_has_said_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr("vertebra.engine.distributed.usable_cores", lambda: 8)
    for given, expected in ((None, "4"), ("1", "1")):
        if given:
            monkeypatch.setenv("OMP_NUM_THREADS", given)
        else:
            monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        launch(quick(writing(tmp_path, "os.environ['OMP_NUM_THREADS']")), 2)
        assert (tmp_path / "0").read_text() == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(rank * 3)", 3),
        ("rank or time.sleep(0.3); sys.exit(2 if rank else 5)", 2),  # the first to fail
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
    ],
)
def test_the_exit_code_is_that_of_the_first_to_fail(code, expected):
    assert launch(quick(code), 2) == expected


def test_a_process_that_hangs_after_another_failed_is_ended(monkeypatch):
    monkeypatch.setattr(distributed, "GRACE_SECONDS", 0.2)
    began = time.monotonic()
    assert launch(quick("time.sleep(60 if rank else 0); sys.exit(4)"), 2) == 4
    assert time.monotonic() - began < 10


def signal_soon(kind: signal.Signals, *, after: list[Path], times: int = 1) -> threading.Thread:
    """Sends this process the signal once the files are there."""

    def run() -> None:
        while not all(path.exists() for path in after):
            time.sleep(0.01)
        for _ in range(times):
            os.kill(os.getpid(), kind)
            time.sleep(0.2)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_the_code_of_the_save_comes_back(tmp_path, kind):
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); "
    code = handler + writing(tmp_path, "'ready'") + "time.sleep(60)"
    thread = signal_soon(kind, after=[tmp_path / "0", tmp_path / "1"])
    assert launch(quick(code), 2) == 75
    thread.join()


def test_a_second_sigint_leaves_no_process_behind(tmp_path):
    handler = "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    code = handler + writing(tmp_path, "str(os.getpid())") + "time.sleep(60)"
    files = [tmp_path / "0", tmp_path / "1"]
    thread = signal_soon(signal.SIGINT, after=files, times=2)
    with pytest.raises(KeyboardInterrupt):
        launch(quick(code), 2)
    thread.join()
    for path in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)


def test_our_own_command_is_the_module():
    assert own_command(["train", "x"]) == [sys.executable, "-m", "vertebra", "train", "x"]
