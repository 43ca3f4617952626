"""`vertebra resume`: a run that was stopped goes on as if it had not been."""

import shutil

import pytest
from tests.cli.conftest import TINY, vertebra

from vertebra.engine.observers import Saver
from vertebra.records import RunDirectory, read_record


@pytest.fixture(scope="module")
def stopped(album, tmp_path_factory):
    """A run of two epochs that was asked to stop after three updates."""
    out = tmp_path_factory.mktemp("resume") / "run"
    needs_weights = Saver.needs_weights

    def stopping(self, progress):
        self._interrupts.asked = "SIGTERM" if progress.step == 3 else None
        return needs_weights(self, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Saver, "needs_weights", stopping)
        said = vertebra("train", album, "--epochs=2", "--out", out, *TINY)
    return out, said


def test_a_stopped_run_says_how_to_go_on(stopped):
    out, said = stopped
    assert said.code == 75
    assert "stopped by SIGTERM after step 3, saved; continue with" in said.err
    assert f"`vertebra resume {out}`" in said.err


def test_a_stopped_run_can_be_looked_at_but_not_judged(stopped):
    out, _ = stopped
    assert vertebra("report", out).code == 0
    said = vertebra("evaluate", out)
    assert said.code == 2
    assert f"continue it with `vertebra resume {out}`" in said.err


def test_the_resumed_run_is_the_uninterrupted_one(stopped, trained, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(stopped[0], out)
    said = vertebra("resume", out)
    assert said.code == 0, said.err
    assert "continues after step 3" in said.out
    assert "not bitwise" not in said.out
    assert f"  vertebra predict {out} IMAGE" in said.out
    whole, resumed = (read_record(RunDirectory(place)) for place in (trained[0], out))
    assert resumed.figures == whole.figures
    assert resumed.resumed_at == (3,)
    weights = "checkpoints/best/model.safetensors"
    assert (out / weights).read_bytes() == (trained[0] / weights).read_bytes()


def test_a_finished_run_is_not_resumed(trained):
    said = vertebra("resume", trained[0])
    assert said.code == 2
    assert "has finished; see it with `vertebra report" in said.err
