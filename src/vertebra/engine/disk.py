"""Writing files so that a kill, a full disk or a missing right costs nothing that was there."""

import errno
import hashlib
import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vertebra.errors import DeviceError

_SLACK_BYTES = 2**20


class Written(NamedTuple):
    """What a file should hold, to compare with later."""

    bytes: int
    sha256: str


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> Written:
    """Writes the parts one after the other and waits until the disk has them."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in parts:
            digest.update(part)
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
        return Written(file.tell(), digest.hexdigest())


def sync(folder: Path) -> None:
    """Waits until the disk has the folder's names; Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sibling(path: Path, suffix: str) -> Path:
    """Returns a hidden neighbour of `path`, on the same disk, so that a rename suffices."""
    return path.with_name(f".{path.name}.{suffix}")


@contextmanager
def writing(path: Path, needed: int) -> Generator[None]:
    """Makes the parent of `path` and explains what then fails; `needed` bytes are to be written.

    Raises:
        DeviceError: the disk is full, or the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path, needed) from error
        raise DeviceError(
            f"cannot write {path}: {error.strerror or error}; "
            f"make its folder writable or choose another"
        ) from error


def require_space(path: Path, needed: int) -> None:
    """Checks that `needed` bytes can be written beside what is there.

    Raises:
        DeviceError: says how much is free.
    """
    if _free(path) < needed + _SLACK_BYTES:
        raise _full(path, needed)


def _free(path: Path) -> int:
    folder = next(each for each in path.absolute().parents if each.is_dir())
    return shutil.disk_usage(folder).free


def _full(path: Path, needed: int) -> DeviceError:
    return DeviceError(
        f"no space left: {path} needs {needed / 1e6:.1f} MB and {_free(path) / 1e6:.1f} MB are "
        f"free; free some space, then go on from the last save, which is intact"
    )
