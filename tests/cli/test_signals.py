"""What the commands do when they are told to stop, in one process and in several."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.recipes.drawn import draw_album, tiny

from vertebra.cli.main import command
from vertebra.data.crops import RandomResizedCrop
from vertebra.engine import checkpoint
from vertebra.layers.norm import GroupNormSpec
from vertebra.recipes.codec import to_data
from vertebra.records import RunDirectory, read_events, read_record, write_json
from vertebra.report.progress import TrainingProgress


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A stored recipe of six updates."""
    folder = tmp_path_factory.mktemp("signals")
    album = draw_album(folder / "album", train=12, val=6, test=6)
    write_json(folder / "recipe.json", to_data(tiny(album)))
    return folder / "recipe.json"


def at_step(monkeypatch, wanted: int, *signals: signal.Signals) -> None:
    """Sends this process the signals when it tells of an update: the next is under way."""

    def step(self, number, **values):
        if number == wanted:
            for each in signals:
                signal.raise_signal(each)

    monkeypatch.setattr(TrainingProgress, "step", step)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_with_its_own_code(recipe, tmp_path, monkeypatch, capsys, kind):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 2, kind)
        assert command(["train", "--recipe", str(recipe), "--out", str(out)]) == 75
    said = capsys.readouterr().err
    assert f"stopped by {kind.name} after step 3, saved" in said
    assert f"continue with `vertebra resume {out}`" in said
    assert command(["resume", str(out)]) == 0
    assert read_record(RunDirectory(out)).resumed_at == (3,)
    assert command(["resume", str(out)]) == 2
    assert "has finished" in capsys.readouterr().err


def test_a_second_sigint_ends_at_once(recipe, tmp_path, monkeypatch):
    at_step(monkeypatch, 2, signal.SIGINT, signal.SIGINT)
    assert command(["train", "--recipe", str(recipe), "--out", str(tmp_path / "run")]) == 130
    assert not (tmp_path / "run" / "checkpoints" / "last").exists()


def test_tensorboard_can_be_asked_for(recipe, tmp_path):
    pytest.importorskip("tensorboard")
    arguments = ["train", "--recipe", str(recipe), "--out", str(tmp_path / "run"), "--tensorboard"]
    assert command(arguments) == 0
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def vertebra(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "vertebra", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def stopped(*arguments: object) -> tuple[int, str]:
    """Sends the command SIGTERM when its run, --out, has begun; returns code and output."""
    process = vertebra(*arguments)
    out = Path(str(arguments[arguments.index("--out") + 1]))
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
        if (out / "metrics.jsonl").exists():
            break
    process.send_signal(signal.SIGTERM)
    return finish(process)


@pytest.fixture(scope="module")
def long_recipe(recipe) -> Path:
    """The same for 2000 updates: long enough to be met by a signal."""
    album = recipe.parent / "album"
    write_json(recipe.parent / "long.json", to_data(tiny(album, {"length": "2000 steps"})))
    return recipe.parent / "long.json"


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_signal_to_the_real_command_saves_in_every_number_of_processes(
    long_recipe, tmp_path, devices
):
    out = tmp_path / "run"
    code, said = stopped("train", "--recipe", long_recipe, "--out", out, "--devices", devices)
    assert code == 75, said
    assert "Traceback" not in said
    step = checkpoint.load(out / "checkpoints" / "last").state["step"]
    assert 0 < step < 2000
    assert f"after step {step}, saved" in said
    together = " --devices 2" if devices == 2 else ""
    assert f"`vertebra resume {out}{together}`" in said


@pytest.mark.slow
def test_two_processes_with_images_on_the_device_equal_one_and_go_on_bitwise(recipe, tmp_path):
    changes = {
        "length": "120 steps",
        "optimizer.lr": 0.01,
        "model.norm": GroupNormSpec(groups=2),  # batch statistics are those of a process
        "data.augment.crop": RandomResizedCrop(),
        "data.augment.flip": 0.5,
    }
    path = tmp_path / "recipe.json"
    write_json(path, to_data(tiny(recipe.parent / "album", changes)))
    runs = {name: tmp_path / name for name in ("one", "two", "halted")}
    for name, devices in (("one", 1), ("two", 2)):
        line = ("train", "--recipe", path, "--out", runs[name], "--devices", devices)
        code, said = finish(vertebra(*line))
        assert code == 0, said
        assert "images on the device" in said
    losses = [losses_of(runs[name]) for name in ("one", "two")]
    assert len(losses[0]) == 120
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)

    code, said = stopped("train", "--recipe", path, "--out", runs["halted"], "--devices", 2)
    assert code == 75, said
    code, said = finish(vertebra("resume", runs["halted"], "--devices", 2))
    assert code == 0, said
    assert "not bitwise" not in said
    assert losses_of(runs["halted"]) == losses[1]
    ours, theirs = weights(runs["halted"]), weights(runs["two"])
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_two_processes_write_one_run(recipe, tmp_path):
    out = tmp_path / "run"
    code, said = finish(vertebra("train", "--recipe", recipe, "--out", out, "--devices", 2))
    assert code == 0, said
    assert list(tmp_path.iterdir()) == [out]
    record = read_record(RunDirectory(out))
    assert (record.environment["processes"], record.steps) == (2, 6)
    assert record.images_per_second * record.train_seconds == pytest.approx(6 * 12)
    steps = [event["step"] for event in read_events(out / "metrics.jsonl", "step")]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert said.count("\nNext:") == 1
    assert all(v.isfinite().all() for v in weights(out).values() if v.is_floating_point())
    code, said = finish(vertebra("train", "--recipe", recipe, "--out", out, "--devices", 2))
    assert code == 2
    assert "Traceback" not in said
    assert said.count("error:") == 1


def weights(out: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(out / "checkpoints" / "best").tensors["model"]


def losses_of(out: Path) -> list[float]:
    return [event["loss"] for event in read_events(out / "metrics.jsonl", "step")]
