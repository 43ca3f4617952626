"""Checkpoints: folders that are complete or absent, checked by size and SHA-256, without pickle.

    last/model.safetensors       one file for each entry of tensors
    last/optimizer.safetensors
    last/state.json              everything that is no tensor
    last/manifest.json           size and SHA-256 of each file; written last

A save writes `.last.new`, waits for the disk, renames `last` to `.last.old` and `.last.new` to
`last`, and removes `.last.old`. A kill can come at any moment:

    before the first rename      `last` is the old checkpoint
    between the two renames      `last` is absent; `load` reads `.last.new`, which is complete
    after the second rename      `last` is the new checkpoint

`load` changes nothing, so a run can be read while it saves; the next `save` clears up.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vertebra.engine import tensorfile
from vertebra.engine.disk import Written, require_space, sibling, sync, write_parts, writing
from vertebra.errors import CheckpointError
from vertebra.records import Json, read_json

_MANIFEST = "manifest.json"
_STATE = "state.json"
_SEAL = "tensors_sha256"
_KERNEL_KEYS = frozenset({"fused", "foreach", "capturable", "differentiable"})


class Checkpoint(NamedTuple):
    """What `save` was given: tensors by entry and name, on the CPU, and the state."""

    tensors: dict[str, dict[str, Tensor]]
    state: Json


def save(directory: Path, *, tensors: Mapping[str, Mapping[str, Tensor]], state: Json) -> None:
    """Replaces the checkpoint in `directory`, or makes it; at a failure the old one stays.

    tensors: {"model": {...}, "optimizer": {...}}; any device and memory layout; tied weights are
             written under each of their names.
    state:   what JSON can say; floats that are not finite are kept, tuples come back as lists.

    Raises:
        DeviceError: the disk is full, or the place cannot be written.
        CheckpointError: `directory` exists and is no checkpoint.
    """
    for entry in tensors:
        if re.fullmatch(r"[\w-]+", entry) is None:
            raise ValueError(f"entry {entry!r} becomes a file name; use letters, digits, _ and -")
    text = json.dumps(state).encode()
    needed = len(text) + sum(value.nbytes for each in tensors.values() for value in each.values())
    with writing(directory, needed):
        _settle(directory)
        require_space(directory, needed)
        _write(sibling(directory, "new"), tensors, text)
        _swap(directory)


def exists(directory: Path) -> bool:
    """Returns whether there is something to `load`; what is there may be damaged."""
    return directory.exists() or _survivor(directory) is not None


def load(directory: Path) -> Checkpoint:
    """Returns the checkpoint in `directory`; if a save was cut off there, the newest complete one.

    Raises:
        CheckpointError: there is none, or one of its files is not what was saved.
    """
    place = directory if directory.exists() else _survivor(directory)
    if place is None:
        raise CheckpointError(f"{directory} is missing; give the folder of a saved checkpoint")
    files = _check(place)
    tensors = {
        name.removesuffix(".safetensors"): tensorfile.read(place / name)[0]
        for name in files
        if name != _STATE
    }
    return Checkpoint(tensors, read_json(place / _STATE))


def save_weights(path: Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes one .safetensors file, whole or not at all; a checksum goes into its metadata.

    Raises:
        DeviceError: the disk is full, or the place cannot be written; an old file stays.
    """
    needed = sum(value.nbytes for value in state_dict.values())
    new = sibling(path, "new")
    sealed = {**metadata, _SEAL: tensorfile.digest(state_dict)}
    with writing(path, needed):
        require_space(path, needed)
        try:
            tensorfile.write(new, state_dict, sealed)
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        sync(path.parent)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors and the metadata; takes any .safetensors file, and checks one of ours.

    Raises:
        CheckpointError: the file is missing, is no .safetensors file, or was changed.
    """
    tensors, metadata = tensorfile.read(path)
    sha256 = metadata.pop(_SEAL, None)
    if sha256 is not None and sha256 != tensorfile.digest(tensors):
        raise CheckpointError(
            f"{path} is damaged: its tensors differ from their SHA-256; restore it or save it again"
        )
    return tensors, metadata


def _write(new: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: bytes) -> None:
    """Writes a complete checkpoint; takes away what it wrote if the disk fails."""
    try:
        new.mkdir()
        files = {
            f"{entry}.safetensors": tensorfile.write(new / f"{entry}.safetensors", each, {})
            for entry, each in tensors.items()
        }
        files[_STATE] = write_parts(new / _STATE, [state])
        manifest = {name: written._asdict() for name, written in files.items()}
        write_parts(new / _MANIFEST, [json.dumps(manifest, indent=2).encode()])
        sync(new)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _swap(directory: Path) -> None:
    """Puts the new checkpoint in the place of the old one; see the top of this file."""
    new, old = sibling(directory, "new"), sibling(directory, "old")
    if directory.exists():
        directory.rename(old)
    new.rename(directory)
    sync(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


def _settle(directory: Path) -> None:
    """Finishes what an earlier, interrupted save left."""
    is_ours = (directory / _MANIFEST).is_file()
    if directory.exists() and not is_ours and any(directory.iterdir()):
        raise CheckpointError(
            f"{directory} exists and is no checkpoint (it has no {_MANIFEST}); "
            f"it was left alone: move it away or save elsewhere"
        )
    survivor = None if directory.exists() else _survivor(directory)
    if survivor is not None:
        survivor.rename(directory)
    for leftover in (sibling(directory, "new"), sibling(directory, "old")):
        if leftover.exists():
            shutil.rmtree(leftover)


def _survivor(directory: Path) -> Path | None:
    """Returns the newest complete checkpoint that a save cut off between its renames left."""
    for place in (sibling(directory, "new"), sibling(directory, "old")):
        try:
            _check(place)
        except CheckpointError:
            continue
        return place
    return None


def _check(place: Path) -> dict[str, Written]:
    """Returns the files of the manifest, after comparing each with it.

    Raises:
        CheckpointError: names the first file that differs.
    """
    manifest = read_json(place / _MANIFEST)
    try:
        files = {name: Written(**written) for name, written in manifest.items()}
    except (AttributeError, TypeError) as error:
        raise _damaged(place / _MANIFEST, "it is no manifest") from error
    for name, written in files.items():
        path = place / name
        if not path.is_file():
            raise _damaged(path, "it is missing")
        if path.stat().st_size != written.bytes:
            raise _damaged(path, f"it has {path.stat().st_size} bytes, not {written.bytes}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != written.sha256:
                raise _damaged(path, "its content differs from its SHA-256")
    return files


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged: {what}; restore it from a copy or continue from another checkpoint"
    )


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], Json]:
    """Returns the optimizer's state as tensors, "0.momentum_buffer", and the rest as JSON.

    Parameters are numbered in the order of the groups. The tensors are the live ones: save them
    before the next update.
    """
    whole = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Json] = {}
    for index, state in whole["state"].items():
        for key, value in state.items():
            (tensors if isinstance(value, Tensor) else numbers)[f"{index}.{key}"] = value
    groups = [
        {key: value for key, value in group.items() if key not in _KERNEL_KEYS}
        for group in whole["param_groups"]
    ]
    return tensors, {"type": _kind(optimizer), "groups": groups, "numbers": numbers}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], rest: Json
) -> None:
    """Gives the optimizer what `flatten_optimizer` took, on its own device and kernel.

    Raises:
        CheckpointError: the state is of another kind of optimizer or of other parameters.
    """
    groups = optimizer.state_dict()["param_groups"]
    found, expected = _outline(rest["type"], rest["groups"]), _outline(_kind(optimizer), groups)
    if found != expected:
        raise _foreign(found, expected)
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    state: dict[int, dict[str, Json]] = {}
    for name, value in {**tensors, **rest["numbers"]}.items():
        index, key = name.split(".", 1)
        own = state.setdefault(int(index), {})
        own[key] = _laid_out(name, value, parameters[int(index)])
    for group, saved in zip(groups, rest["groups"], strict=True):
        for key, value in saved.items():
            group[key] = tuple(value) if isinstance(group.get(key), tuple) else value
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out(name: str, value: Json, parameter: Tensor) -> Json:
    """Returns a copy in the parameter's memory order, on which fused kernels rely."""
    if not isinstance(value, Tensor):
        return value
    if value.ndim == 0:
        return value.clone()
    if value.shape != parameter.shape:
        raise _foreign(f"{name} {list(value.shape)}", f"{list(parameter.shape)}")
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _kind(optimizer: torch.optim.Optimizer) -> str:
    return type(optimizer).__name__


def _outline(kind: str, groups: Sequence[Mapping[str, Json]]) -> str:
    """Returns what must agree, as words: "SGD of weights (20), norms and biases (41)"."""
    parts = [f"{group.get('name', 'parameters')} ({len(group['params'])})" for group in groups]
    return f"{kind} of {', '.join(parts)}"


def _foreign(found: str, expected: str) -> CheckpointError:
    return CheckpointError(
        f"the optimizer's state is that of {found}, but {expected} was expected; "
        f"resume with the recipe it was saved under"
    )
