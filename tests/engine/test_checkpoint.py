import errno
import math
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engine.numbered import assert_exactly, content, number_in, save_number
from torch import nn

from vertebra.engine import checkpoint
from vertebra.errors import CheckpointError, DeviceError


def test_a_checkpoint_comes_back_and_the_next_one_replaces_it(tmp_path: Path):
    last = tmp_path / "checkpoints" / "last"
    assert not checkpoint.exists(last)
    for number in (1, 2, 3):
        save_number(last, number)
        assert checkpoint.exists(last)
        assert number_in(last) == number
    assert [path.name for path in last.parent.iterdir()] == ["last"]


def test_an_entry_is_a_plain_safetensors_file_and_nothing_is_pickled(tmp_path: Path):
    save_number(tmp_path / "last", 7)
    assert sorted(path.name for path in (tmp_path / "last").iterdir()) == [
        *("manifest.json", "model.safetensors", "optimizer.safetensors", "state.json")
    ]
    assert_exactly(load_file(tmp_path / "last" / "model.safetensors"), content(7)["model"])


def test_channels_last_and_tied_tensors_come_back_with_equal_values(tmp_path: Path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3))
    model[1].weight = model[0].weight
    model.to(memory_format=torch.channels_last)
    state = model.state_dict()
    assert not state["0.weight"].is_contiguous()
    checkpoint.save(tmp_path / "last", tensors={"model": state}, state=None)
    loaded = checkpoint.load(tmp_path / "last").tensors["model"]
    assert_exactly(loaded, state)
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3))
    other[1].weight = other[0].weight
    other.load_state_dict(loaded)
    assert_exactly(other.state_dict(), state)


def test_state_keeps_what_json_keeps_and_floats_that_are_not_finite(tmp_path: Path):
    state = {"a": [1, 2.5, None, "é"], "big": 2**80, "best": -math.inf, "loss": math.nan}
    checkpoint.save(tmp_path / "last", tensors={}, state=state)
    loaded = checkpoint.load(tmp_path / "last").state
    assert math.isnan(loaded.pop("loss")) and math.isnan(state.pop("loss"))
    assert loaded == state


def test_an_entry_that_is_no_file_name_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"'\.\./model' becomes a file name"):
        checkpoint.save(tmp_path / "last", tensors={"../model": {}}, state=None)


def break_file(path: Path, how: str) -> None:
    raw = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(raw[:-1])
    else:
        raw[-2] ^= 1
        path.write_bytes(raw)


@pytest.mark.parametrize("how", ["missing", "cut", "flipped"])
@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, how: str):
    save_number(tmp_path / "last", 1)
    break_file(tmp_path / "last" / name, how)
    reason = {"missing": "it is missing", "cut": "bytes, not", "flipped": "SHA-256"}[how]
    with pytest.raises(CheckpointError, match=f"{name} is damaged: .*{reason}.*; restore it"):
        checkpoint.load(tmp_path / "last")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"bytes": 1}}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str):
    save_number(tmp_path / "last", 1)
    (tmp_path / "last" / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"manifest.json .*; restore it"):
        checkpoint.load(tmp_path / "last")


def test_a_path_without_a_checkpoint_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "file"):
        with pytest.raises(CheckpointError, match=";"):
            checkpoint.load(path)


def test_weights_and_metadata_come_back_and_a_new_file_replaces_the_old(tmp_path: Path):
    path = tmp_path / "deep" / "model.safetensors"
    for number in (1, 2):
        checkpoint.save_weights(path, content(number)["model"], {"classes": "cat, dog"})
        tensors, metadata = checkpoint.load_weights(path)
        assert_exactly(tensors, content(number)["model"])
        assert metadata == {"classes": "cat, dog"}
    assert [each.name for each in path.parent.iterdir()] == ["model.safetensors"]


def test_weights_that_others_saved_are_taken(tmp_path: Path):
    save_file(content(4)["model"], tmp_path / "theirs.safetensors")
    assert_exactly(checkpoint.load_weights(tmp_path / "theirs.safetensors")[0], content(4)["model"])


@pytest.mark.parametrize("how", ["missing", "cut", "flipped"])
def test_damaged_weights_are_named(tmp_path: Path, how: str):
    path = tmp_path / "model.safetensors"
    checkpoint.save_weights(path, content(1)["model"], {})
    break_file(path, how)
    with pytest.raises(CheckpointError, match=r"model\.safetensors .*;"):
        checkpoint.load_weights(path)


def test_a_failed_write_of_weights_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "model.safetensors"
    checkpoint.save_weights(path, content(1)["model"], {})

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DeviceError, match="no space left"):
        checkpoint.save_weights(path, content(2)["model"], {})
    assert_exactly(checkpoint.load_weights(path)[0], content(1)["model"])
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]
