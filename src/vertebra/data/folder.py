"""Images in a folder: a folder for each class, with or without folders for splits above them."""

import os
from pathlib import Path

from vertebra.data.images import Source
from vertebra.data.layout import lay_out
from vertebra.data.readers import Files
from vertebra.errors import DataError


def open_folder(path: Path) -> Source:
    """Returns the images below `path`.

    Raises:
        DataError: the folder is empty, has no class folders, or its splits do not fit each other.
    """
    name = path.resolve().name
    return lay_out(files_below(path), Files(path), name=name, where=str(path))


def files_below(path: Path) -> list[str]:
    """Returns the names of all files below a folder, relative to it, "/" between folders.

    Links to folders are followed, as many data sets are made of them; a circle is an error.
    """
    found: list[str] = []
    chains: dict[str, tuple[Path, ...]] = {str(path): (path.resolve(),)}
    for folder, inner, files in os.walk(path, followlinks=True, onerror=_refuse):
        chain = chains.pop(folder)
        prefix = Path(folder).relative_to(path).as_posix()
        found += [name if prefix == "." else f"{prefix}/{name}" for name in files]
        for name in inner:
            child = Path(folder, name)
            real = child.resolve()
            if real in chain:
                raise DataError(f"{child} links back to {real}, a folder above it; remove the link")
            chains[str(child)] = (*chain, real)
    return found


def _refuse(error: OSError) -> None:
    reason = (error.strerror or str(error)).lower()
    raise DataError(f"{error.filename} cannot be listed: {reason}; give yourself the right to")
