import importlib.util

import pytest
from tests.engine.test_observers import Told

from vertebra.engine.tensorboard import TensorBoardView
from vertebra.errors import MissingExtra


def test_events_are_written_and_passed_on(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    beside = Told()
    with TensorBoardView(tmp_path / "events", beside=beside) as view:
        assert not (tmp_path / "events").exists()
        view.start(2, 2.0)
        for step in (1, 2):
            view.step(step, loss=1 / step, images_per_s=10.0, data_wait=0.25, lr=0.5)
        view.evaluation(2, split="minival", figures={"top1": 0.75})
        view.message("hello")
    found = events.EventAccumulator(str(tmp_path / "events")).Reload()
    written = {tag: found.Scalars(tag) for tag in found.Tags()["scalars"]}
    assert [(e.step, e.value) for e in written.pop("train/loss")] == [(1, 1.0), (2, 0.5)]
    assert [(e.step, e.value) for e in written.pop("minival/top1")] == [(2, 0.75)]
    assert set(written) == {"train/lr", "train/images_per_s", "train/data_wait"}
    assert [call[0] for call in beside.calls] == ["start", "step", "step", "evaluation", "message"]
    assert beside.calls[1] == ("step", 1, 1.0, 10.0, 0.25, 0.5)


def test_a_run_that_never_starts_writes_nothing(tmp_path):
    pytest.importorskip("tensorboard")
    with TensorBoardView(tmp_path / "events", beside=Told()):
        pass
    assert not (tmp_path / "events").exists()


def test_without_the_extra_it_says_which_one(tmp_path, monkeypatch):
    monkeypatch.setattr("vertebra.engine.tensorboard.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"vertebra\[tensorboard\]"):
        TensorBoardView(tmp_path, beside=Told())
    assert importlib.util.find_spec("torch")
