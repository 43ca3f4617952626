"""What a run leaves behind survives kills, full disks and odd values."""

import csv
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra.errors import CheckpointError, DeviceError
from vertebra.records import (
    EventLog,
    RunDirectory,
    RunRecord,
    read_events,
    read_json,
    read_record,
    write_json,
    write_record,
    write_table,
    write_text,
)

RECORD = RunRecord(
    name="digits",
    recipe={"seed": 0},
    environment={"torch": "2"},
    started="2026-01-01T00:00:00+00:00",
    train_seconds=1.5,
    total_seconds=2.0,
    steps=10,
    epochs=1.0,
    best_step=8,
    reported_split="test",
    figures={"top1": 0.5, "loss": 1.0},
    selection={"top1": 0.25},
    parameters=7,
    macs=9,
    images_per_second=3.0,
    data_wait_share=0.1,
    peak_memory_mb=4.0,
    data={"train": {"found": 2, "used": 1, "refused": [{"name": "a.png", "reason": "empty"}]}},
    resumed_at=(3, 5),
    quarantined=("a.png",),
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "metrics.jsonl")


def say(log: EventLog, event: str, step: int, **values: object) -> None:
    log.append(event, step=step, epoch=step / 10, values=values)


@given(value=json_values)
def test_json_reads_back_as_it_was(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_is_strict_about_what_is_not_finite(tmp_path):
    path = tmp_path / "new" / "value.json"
    write_json(path, {"a": math.nan, "b": [math.inf, (-math.inf,)], 1: 1.5})
    assert read_json(path) == {"a": "nan", "b": ["inf", ["-inf"]], "1": 1.5}


def test_a_file_name_that_is_no_utf8_reads_back(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "value.json", {"Größe": name})
    assert "Größe" in (tmp_path / "value.json").read_text("utf-8")
    assert read_json(tmp_path / "value.json") == {"Größe": name}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "value.json"
    write_json(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeviceError, match="No space left on device; free some space"):
        write_json(path, "new")
    assert read_json(path) == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["value.json"]


def test_a_folder_that_is_a_file_is_said_to_be_in_the_way(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match="choose another folder"):
        write_text(tmp_path / "file" / "value.json", "")


def test_others_may_read_what_was_written(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_or_broken_file_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="is missing; give a complete run directory"):
        read_json(tmp_path / "none.json")
    for content in (b"{", b"\xff\xfe"):
        (tmp_path / "broken.json").write_bytes(content)
        with pytest.raises(CheckpointError, match="restore it or train again"):
            read_json(tmp_path / "broken.json")


def test_events_come_back_in_order_and_by_kind(log):
    say(log, "step", 1, loss=2.0)
    say(log, "evaluate", 1, split="val", figures={"top1": 0.5})
    say(log, "step", 2, loss=math.nan)
    assert [event["step"] for event in read_events(log.path)] == [1, 1, 2]
    assert [event["loss"] for event in read_events(log.path, "step")] == [2.0, "nan"]
    assert next(read_events(log.path))["epoch"] == 0.1


def test_what_a_resume_does_again_counts_once(log):
    for step in (1, 2, 3):
        say(log, "step", step, run="first")
    say(log, "resume", 1)
    say(log, "step", 2, run="second")
    found = [(event["step"], event["run"]) for event in read_events(log.path, "step")]
    assert found == [(1, "first"), (2, "second")]


@pytest.mark.parametrize("kept", range(0, 40, 7))
def test_a_line_cut_off_by_a_kill_loses_no_other(log, kept):
    say(log, "step", 1)
    say(log, "step", 2)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[1][:kept])
    say(log, "resume", 1)
    say(log, "step", 2)
    assert [event["event"] for event in read_events(log.path)] == ["step", "resume", "step"]


def test_a_log_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="give a run directory"):
        list(read_events(tmp_path / "metrics.jsonl"))


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(DeviceError, match="free some space, then `vertebra resume`"):
        say(EventLog(tmp_path / "none" / "metrics.jsonl"), "step", 1)


def test_table_has_a_row_an_event_and_a_column_a_figure(log, tmp_path):
    say(log, "step", 1, loss=2.0, parts={"square": 1.0})
    say(log, "save", 1, kind="last")
    say(log, "evaluate", 1, split="val, held out", figures={"top1": 0.5})
    write_table(log.path, tmp_path / "metrics.csv")
    with (tmp_path / "metrics.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["loss"], first["parts.square"], first["figures.top1"]) == ("2.0", "1.0", "")
    assert (second["split"], second["figures.top1"]) == ("val, held out", "0.5")


def test_record_reads_back_as_it_was(tmp_path):
    directory = RunDirectory(tmp_path)
    write_record(directory, RECORD)
    assert read_record(directory) == RECORD


def test_a_figure_that_is_not_finite_reads_back(tmp_path):
    directory = RunDirectory(tmp_path)
    write_record(directory, replace(RECORD, figures={"loss": math.inf}))
    assert read_record(directory).figures == {"loss": math.inf}


def test_a_run_that_did_not_finish_offers_resume(tmp_path):
    with pytest.raises(CheckpointError, match=f"`vertebra resume {tmp_path}`"):
        read_record(RunDirectory(tmp_path))


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"figures": {"top1": "high"}}'])
def test_another_file_in_the_place_of_a_record_is_refused(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(CheckpointError, match="is no run record"):
        read_record(RunDirectory(tmp_path))


def test_naming_a_run_makes_nothing(tmp_path):
    RunDirectory(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_recipe_is_no_run(tmp_path):
    directory = RunDirectory(tmp_path)
    with pytest.raises(CheckpointError, match=r"no run directory \(it has no recipe.json\)"):
        directory.require()
    write_json(directory.recipe, {})
    assert directory.require() is directory


def test_every_event_is_one_line_of_json(log):
    say(log, "refuse", 1, name="a\nb\u2028.png", reason="cut off")
    line = log.path.read_text("ascii")
    assert line.count("\n") == 1
    assert json.loads(line)["name"] == "a\nb\u2028.png"
