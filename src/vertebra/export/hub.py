"""Runs on the Hugging Face Hub: `push` publishes one, `pull` brings one here."""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from vertebra.errors import CheckpointError
from vertebra.export.published import CARD, VALUES, WEIGHTS, read_published, write_published
from vertebra.records import RunDirectory

FILES = (CARD, *VALUES, WEIGHTS)
"""What a repository of ours holds; nothing else is sent, nothing else is fetched."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class Hub(Protocol):
    """What is asked of the Hub; `hugging_face.HuggingFace` is the real one."""

    def create(self, repository: str, *, private: bool) -> None:
        """Makes a new, empty model repository."""
        ...

    def upload(self, repository: str, folder: Path) -> str:
        """Adds the files of `folder` in one commit; returns the repository's address."""
        ...

    def download(self, repository: str, name: str, folder: Path) -> Path:
        """Fetches one file into `folder` and returns where it is."""
        ...


def require_repository(name: str) -> str:
    """Returns "OWNER/NAME".

    Raises:
        CheckpointError: it is of another form.
    """
    if _REPOSITORY.fullmatch(name) is None or ".." in name:
        raise CheckpointError(f"{name!r} is no repository; write OWNER/NAME, as ada/ants-bees")
    return name


def push(
    hub: Hub,
    run: RunDirectory,
    repository: str,
    *,
    licence: str,
    private: bool = False,
    update: bool = False,
) -> str:
    """Publishes a finished run and returns its address.

    update: the repository exists, and gets one more commit; its visibility stays.

    Raises:
        CheckpointError: the run has not finished, or the Hub refuses.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_published(run, folder, name=require_repository(repository), licence=licence)
        if not update:
            hub.create(repository, private=private)
        return hub.upload(repository, folder)


def pull(hub: Hub, repository: str, run: RunDirectory, *, check: Callable[[Path], object]) -> None:
    """Brings a published run to an empty place; all of it or nothing.

    check: is called with the directory before it takes its place, and raises if it is no run.

    Raises:
        CheckpointError: the place is taken, the Hub refuses, or what came is no run.
    """
    require_repository(repository)
    run.require_free()
    run.path.parent.mkdir(parents=True, exist_ok=True)
    # beside its place, so that a rename suffices
    with TemporaryDirectory(dir=run.path.parent, prefix=f".{run.path.name}.") as temporary:
        folder = Path(temporary)
        for name in (*VALUES, WEIGHTS):
            fetched = hub.download(repository, name, folder)
            if fetched != folder / name or fetched.is_symlink() or not fetched.is_file():
                raise CheckpointError(
                    f"{repository} has no plain file {name}; it is no run of ours"
                )
        read_published(folder, run, check=check)
