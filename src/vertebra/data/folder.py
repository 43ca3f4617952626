"""Images in a folder: a folder for each class, with or without folders for splits above them."""

import os
from collections.abc import Iterator
from pathlib import Path

from vertebra.data.images import Source
from vertebra.data.layout import is_clutter, lay_out
from vertebra.data.names import Names
from vertebra.data.readers import Files
from vertebra.errors import DataError


def open_folder(path: Path) -> Source:
    """Returns the images below `path`.

    Raises:
        DataError: the folder is empty, has no class folders, or its splits do not fit each other.
    """
    name = path.resolve().name
    return lay_out(files_below(path), Files(path), name=name, where=str(path))


def files_below(path: Path) -> Names:
    """Returns the names of all files below a folder but clutter, relative to it, "/" between
    folders, in the order of their characters.

    Links to folders are followed, as many data sets are made of them; a circle is an error.
    """
    return Names.of(name for name in _walk(path, "", ()) if not is_clutter(name))


def _walk(folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[str]:
    """Yields the files below a folder in the order of their names, listing one folder at a time.

    "a-b/1" stands before "a/1", as "-" before "/": so each folder is sorted with its "/".
    """
    real = folder.resolve()
    if real in above:
        raise DataError(f"{folder} links back to {real}, a folder above it; remove the link")
    for name in sorted(_inside(folder)):
        if name.endswith("/"):
            yield from _walk(folder / name, prefix + name, (*above, real))
        else:
            yield prefix + name


def _inside(folder: Path) -> Iterator[str]:
    """Yields the names of what lies in a folder; those of folders end in "/"."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield f"{entry.name}/" if _is_folder(entry) else entry.name
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(
            f"{error.filename} cannot be listed: {reason}; give yourself the right to"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one or a link to one; a link that leads nowhere is a file, refused later."""
    try:
        return entry.is_dir()
    except OSError:
        return False
