import signal
import time

import pytest
import torch
from tests.engine.drawn import drawn_batches, moment, plain_training, show

from vertebra.engine import checkpoint
from vertebra.engine.distributed import World
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.loop import train
from vertebra.engine.observers import (
    Logger,
    MemoryKeeper,
    Refusals,
    Saver,
    Selector,
    standard_error,
)
from vertebra.engine.pace import Pace
from vertebra.errors import Interrupted
from vertebra.records import EventLog, read_events


class Told:
    """A view that keeps what it is told."""

    def __init__(self):
        self.calls = []

    def start(self, total_steps, steps_per_epoch):
        self.calls.append(("start", total_steps, steps_per_epoch))

    def step(self, step, *, loss, images_per_s, data_wait, lr):
        self.calls.append(("step", step, loss, images_per_s, data_wait, lr))

    def evaluation(self, step, *, split, figures):
        self.calls.append(("evaluation", step, split, dict(figures)))

    def message(self, text):
        self.calls.append(("message", text))


@pytest.fixture
def log(tmp_path):
    return EventLog(tmp_path / "metrics.jsonl")


def events(log, kind):
    return list(read_events(log.path, kind))


def losses(log):
    return {event["step"]: event["loss"] for event in events(log, "step")}


def test_memory_is_kept_once_the_first_update_is_made(monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr("vertebra.engine.execution.keep_in_heap", lambda _: seen.append("kept"))
    training = plain_training(3)
    draw = training.method.forward

    def forward(batch, progress):
        seen.append(f"update {progress.step}")
        return draw(batch, progress)

    monkeypatch.setattr(training.method, "forward", forward)
    train(training, drawn_batches(3, 4), observers=[MemoryKeeper(training)])
    assert seen == ["update 0", "kept", "update 1", "update 2"]


def test_the_logger_writes_means_of_intervals_and_the_rest_at_the_end(log):
    logger = Logger(plain_training(7), log, None, every=3, pace=Pace())
    for step in range(1, 8):
        show(logger, moment(step, 7, loss=float(step)))
    assert losses(log) == {3: 2.0, 6: 5.0, 7: 7.0}
    first = events(log, "step")[0]
    assert first["parts"] == {"fit": 1.0}
    assert first["epoch"] == 0.75
    assert first["lr"] == 0.1
    assert first["images_per_s"] == pytest.approx(24 / 1.5)
    assert first["data_wait"] == pytest.approx(0.2)
    assert first["memory_mb"] > 1


def test_a_logger_that_goes_on_writes_what_one_logger_would(log, tmp_path):
    def logger_of(log):
        return Logger(plain_training(7), log, None, every=3, pace=Pace(images=1))

    whole = EventLog(tmp_path / "whole.jsonl")
    alone, first, second = logger_of(whole), logger_of(log), logger_of(log)
    for step in range(1, 8):
        show(alone, moment(step, 7, loss=0.1 * step))
        if step == 5:
            second.restore(first.state())
        (first if step < 5 else second).after_step(moment(step, 7, loss=0.1 * step))
    assert losses(log) == losses(whole)
    assert second.pace == alone.pace == Pace(images=57, seconds=3.5, data_seconds=0.7)
    assert second.pace.images_per_second == 57 / 3.5
    assert second.pace.data_wait_share == pytest.approx(0.2)


def test_the_view_is_told_of_every_update(log):
    view = Told()
    logger = Logger(plain_training(2), log, view, every=100, pace=Pace())
    for step in (1, 2):
        show(logger, moment(step, 2))
    assert view.calls == [("step", step, 1.0, 16.0, pytest.approx(0.2), 0.1) for step in (1, 2)]


def test_only_the_leading_process_speaks(log):
    view = Told()
    training = plain_training(1, world=World(rank=1, size=2))
    Logger(training, log, view, every=1, pace=Pace()).after_step(moment(1, 1))
    assert view.calls == []
    assert not log.path.exists()


def test_a_file_that_cannot_be_read_is_told_once(log):
    found, view = {}, Told()
    watcher = Refusals(found, log, view)
    show(watcher, moment(1, 9))
    found["b.png"] = "is cut off"
    show(watcher, moment(2, 9))
    found["a.png"] = "is empty"
    show(watcher, moment(3, 9))
    told = [(event["step"], event["name"], event["reason"]) for event in events(log, "refuse")]
    assert told == [(2, "b.png", "is cut off"), (3, "a.png", "is empty")]
    assert [text.split()[0] for _, text in view.calls] == ["b.png", "a.png"]


def selected(log, tops, *, n=100, keep="best", view=None, every=1, training=None):
    """Shows a selector one update for each top1 and returns it."""
    coming = iter(tops)
    selector = Selector(
        training or plain_training(len(tops) * every),
        lambda: {"top1": next(coming), "n": n},
        directory=log.path.parent / "best",
        log=log,
        view=view,
        every=every,
        keep=keep,
    )
    for step in range(1, len(tops) * every + 1):
        show(selector, moment(step, len(tops) * every))
    return selector


@pytest.mark.parametrize(
    ("tops", "n", "kept"),
    [
        ([0.5, 0.7, 0.9], 100, 3),
        ([0.5, 0.9, 0.6], 100, 2),  # worse by far
        ([0.5, 0.9, 0.88], 100, 3),  # as good: later weights are as likely the better ones
        ([0.5, 0.9, 0.88], 10_000, 2),  # on many images the same gap is real
        ([0.9, 0.86, 0.82], 100, 2),  # measured from the highest: it cannot slide down
        ([0.0, 0.0], 100, 2),
        ([1.0, 1.0], 4, 2),
    ],
)
def test_the_latest_of_the_best_weights_are_kept(log, tops, n, kept):
    selector = selected(log, tops, n=n)
    assert selector.best_step == kept
    assert selector.best == {"top1": tops[kept - 1], "n": n}
    assert [event["step"] for event in events(log, "save")][-1] == kept


def test_every_evaluation_is_kept_where_the_last_is_asked_for(log):
    assert selected(log, [0.9, 0.1], keep="last").best_step == 2


def test_standard_error_is_that_of_a_difference_of_shares():
    draw = torch.Generator().manual_seed(0)
    n, share = 200, 0.8
    drawn = (torch.rand(20_000, 2, n, generator=draw) < share).float().mean(2)
    spread = (drawn[:, 0] - drawn[:, 1]).std().item()
    assert standard_error(share, share, n) == pytest.approx(spread, rel=0.03)
    assert standard_error(1.0, 1.0, n) > 0


def test_the_selector_evaluates_when_it_is_time_and_at_the_end(log):
    view = Told()
    training, coming = plain_training(5), iter([0.1, 0.5, 0.9])
    selector = Selector(
        training,
        lambda: {"top1": next(coming), "n": 9},
        directory=log.path.parent / "best",
        log=log,
        view=view,
        every=2,
        keep="best",
    )
    for step in range(1, 6):
        show(selector, moment(step, 5))
    told = [(event["step"], event["figures"]["top1"]) for event in events(log, "evaluate")]
    assert told == [(2, 0.1), (4, 0.5), (5, 0.9)]
    assert events(log, "evaluate")[0]["split"] == "minival"
    assert [call[1:3] for call in view.calls] == [(2, "minival"), (4, "minival"), (5, "minival")]


def test_what_is_selected_is_what_is_deployed(log, tmp_path):
    training = plain_training(1)
    selector = selected(log, [0.5], training=training)
    tensors, state = checkpoint.load(tmp_path / "best")
    assert state == selector.state() == {
        "best_step": 1, "best": {"top1": 0.5, "n": 100}, "highest": 0.5
    }  # fmt: skip
    for name, value in training.deployable().state_dict().items():
        assert torch.equal(tensors["model"][name], value)


def test_a_selector_that_goes_on_keeps_its_measure(log):
    first = selected(log, [0.9, 0.87])
    second = selected(log, [])
    second.restore(first.state())
    assert second.state() == first.state()
    assert not second._is_kept({"top1": 0.8, "n": 100})


def saver_of(log, interrupts, **options):
    saved = []
    return saved, Saver(saved.append, interrupts, log=log, world=World(), **options)


def test_the_saver_saves_at_the_end(log):
    saved, saver = saver_of(log, Interrupts())
    for step in (1, 2, 3):
        show(saver, moment(step, 3))
    assert saved == [3]
    assert [(e["step"], e["kind"]) for e in events(log, "save")] == [(3, "last")]


def test_the_saver_saves_when_enough_time_has_passed(log, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    saved, saver = saver_of(log, Interrupts(), seconds=60)
    for step, passed in ((1, 30), (2, 31), (3, 59), (4, 1)):
        now += passed
        show(saver, moment(step, 9))
    assert saved == [2, 4]


def test_a_signal_saves_and_stops(log):
    with Interrupts() as interrupts:
        saved, saver = saver_of(log, interrupts)
        show(saver, moment(1, 9))
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted, match="stopped by SIGTERM after step 2, saved") as caught:
            show(saver, moment(2, 9))
    assert saved == [2]
    assert f"vertebra resume {log.path.parent}" in str(caught.value)
