"""The folder for downloads and unpacked archives: $VERTEBRA_CACHE, else ~/.cache/vertebra."""

import hashlib
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.request import urlopen

from vertebra.errors import DataError, DeviceError


def cache_folder() -> Path:
    """Returns the folder, which need not exist."""
    named = os.environ.get("VERTEBRA_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "vertebra"


def fetch(url: str, target: Path, *, md5: str) -> None:
    """Downloads a file to `target`, whole and checked, or not at all.

    Raises:
        DataError: it cannot be had, or is not the file that was expected.
        DeviceError: it cannot be written.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with written(target) as file:
        for chunk in _chunks(url, target):
            digest.update(chunk)
            file.write(chunk)
        if digest.hexdigest() != md5:
            raise DataError(
                f"{url} gave a file with MD5 {digest.hexdigest()}, and {md5} was expected; "
                f"try again, or place the right file at {target}"
            )


def _chunks(url: str, target: Path) -> Iterator[bytes]:
    try:
        with urlopen(url, timeout=60) as answer:
            while chunk := answer.read(2**20):
                yield chunk
    except OSError as error:
        raise DataError(f"{url} cannot be read ({error}); place the file at {target}") from error


@contextmanager
def written(target: Path) -> Generator[IO[bytes]]:
    """Gives a file to write; it appears at `target` if the block ends well, else it is gone.

    Raises:
        DeviceError: the disk is full or not ours to write.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            try:
                yield file
                file.flush()
                Path(file.name).replace(target)
            except BaseException:
                Path(file.name).unlink()
                raise
    except OSError as error:
        raise DeviceError(
            f"cannot write {target}: {error.strerror}; free some space, or set VERTEBRA_CACHE to "
            f"another folder"
        ) from error
