import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from tests.engine.numbered import number_in, save_number

from vertebra.engine import checkpoint, disk, tensorfile
from vertebra.errors import CheckpointError, DeviceError

LEFT_OPEN = "ignore::pytest.PytestUnraisableExceptionWarning"
"""A simulated kill can fall between the opening of a file and its `with`."""


class Killed(BaseException):
    """Stands for a SIGKILL: no handler of ours may catch it."""


@contextmanager
def killed_at_line(count: int) -> Iterator[None]:
    """Raises `Killed` before the count-th line that runs in the saving modules."""
    files = {checkpoint.__file__, disk.__file__, tensorfile.__file__}
    left = count

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def kill_each_line_of_a_save(path: Path, restart: Callable[[], object]) -> Iterator[None]:
    """Yields after a save of checkpoint 2 that was killed, once for each line of a save."""
    for line in range(1, 2000):
        restart()
        try:
            with killed_at_line(line):
                save_number(path, 2)
        except Killed:
            yield
        else:
            return
    raise AssertionError("a save has fewer lines than that")


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_kill_before_any_line_leaves_the_old_or_the_new_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    last = tmp_path / "run" / "last"

    def restart() -> None:
        shutil.rmtree(last.parent, ignore_errors=True)
        save_number(last, 1)

    found: list[int] = []
    was_absent = False
    for _ in kill_each_line_of_a_save(last, restart):
        was_absent |= not last.exists()
        assert checkpoint.exists(last)
        found.append(number_in(last))
        save_number(last, 3)
        assert number_in(last) == 3
        assert [path.name for path in last.parent.iterdir()] == ["last"]
    assert was_absent, "no kill fell between the two renames"
    assert found == sorted(found), "once the new one is there, it stays"
    assert set(found) == {1, 2}


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_kill_in_the_first_save_leaves_nothing_or_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    last = tmp_path / "run" / "last"
    found: list[bool] = []
    for _ in kill_each_line_of_a_save(last, lambda: shutil.rmtree(last.parent, ignore_errors=True)):
        found.append(checkpoint.exists(last))
        if found[-1]:
            assert number_in(last) == 2
        else:
            with pytest.raises(CheckpointError, match=r"last is missing; give"):
                checkpoint.load(last)
    assert found == sorted(found)
    assert set(found) == {False, True}


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_kill_while_the_next_save_repairs_keeps_the_newest_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    last = tmp_path / "run" / "last"

    def cut_off_between_the_renames() -> None:
        shutil.rmtree(last.parent, ignore_errors=True)
        for number, suffix in ((0, "old"), (1, "new")):
            save_number(last, number)
            last.rename(last.with_name(f".last.{suffix}"))
            if suffix == "old":
                last.with_name(".last.old").rename(tmp_path / "aside")
        (tmp_path / "aside").rename(last.with_name(".last.old"))

    found: list[int] = []
    for _ in kill_each_line_of_a_save(last, cut_off_between_the_renames):
        found.append(number_in(last))
    assert found == sorted(found)
    assert set(found) == {1, 2}


@pytest.mark.parametrize("failing", [1, 2])
def test_a_rename_that_fails_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
):
    last = tmp_path / "last"
    save_number(last, 1)
    rename, calls = Path.rename, 0

    def fail(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(DeviceError, match=r"cannot write .*last: Permission denied; make"):
        save_number(last, 2)
    assert number_in(last) == failing


def test_loading_changes_no_file(tmp_path: Path):
    save_number(tmp_path / "last", 1)
    (tmp_path / "last").rename(tmp_path / ".last.old")
    assert number_in(tmp_path / "last") == 1
    assert [path.name for path in tmp_path.iterdir()] == [".last.old"]


def test_too_little_space_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_number(tmp_path / "last", 1)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3_000_000))
    large = {"model": {"weight": torch.zeros(1_000_000)}}
    with pytest.raises(DeviceError, match=r"last needs 4\.0 MB and 3\.0 MB are free; free some"):
        checkpoint.save(tmp_path / "last", tensors=large, state=None)
    with pytest.raises(DeviceError, match=r"needs 4\.0 MB and 3\.0 MB are free"):
        checkpoint.save_weights(tmp_path / "w.safetensors", large["model"], {})
    assert number_in(tmp_path / "last") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_a_disk_that_fills_up_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
):
    save_number(tmp_path / "last", 1)
    sync, calls = os.fsync, 0

    def fill(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > written:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(DeviceError, match=r"no space left: .*last needs .* MB are free; free some"):
        save_number(tmp_path / "last", 2)
    monkeypatch.undo()
    assert number_in(tmp_path / "last") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("a cat")
    with pytest.raises(CheckpointError, match="photos exists and is no checkpoint"):
        save_number(tmp_path / "photos", 1)
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "a cat"
    (tmp_path / "file").write_text("a file")
    with pytest.raises(DeviceError, match=r"cannot write .*file"):
        save_number(tmp_path / "file", 1)
