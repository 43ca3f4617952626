"""Finds the images that a name or a path means."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from vertebra.data.archive import open_tar, open_zip
from vertebra.data.cifar import CIFAR10, CIFAR100, open_cifar
from vertebra.data.digits import open_digits
from vertebra.data.folder import files_below, open_folder
from vertebra.data.images import Source, Split
from vertebra.data.manifest import open_manifest
from vertebra.data.names import Names, natural
from vertebra.data.readers import Files
from vertebra.errors import DataError

SHELF = ("cifar10", "cifar100", "digits")
"""The data sets that have a name; a folder of that name is meant by ./NAME."""

_ENDINGS: Mapping[str, Callable[[Path], Source]] = {
    ".zip": open_zip,
    ".tar": open_tar,
    ".tar.gz": open_tar,
    ".tgz": open_tar,
    ".csv": open_manifest,
    ".tsv": open_manifest,
}


def open_source(where: str | Path, *, download: bool = False) -> Source:
    """Returns the images at `where`: a name on `SHELF`, a folder, an archive of one, or a manifest.

    download: allows a named data set that is not on this machine to be downloaded.

    Raises:
        DataError: there is nothing, or not what training needs; the message says what to do.
    """
    if where == "digits":
        return open_digits()
    if where in ("cifar10", "cifar100"):
        return open_cifar(CIFAR10 if where == "cifar10" else CIFAR100, download=download)
    path = require_path(where)
    if path.is_dir():
        return open_folder(path)
    for ending, opener in _ENDINGS.items():
        if path.name.lower().endswith(ending):
            return opener(path)
    raise DataError(
        f"{path} is a file of no kind that holds a data set; give a folder, or a file that ends "
        f"in one of {', '.join(_ENDINGS)}"
    )


def holds_data_set(path: Path) -> bool:
    """Whether the file's name ends as those of archives and manifests do."""
    return path.name.lower().endswith(tuple(_ENDINGS))


def loose(paths: Sequence[str | Path]) -> Split:
    """Returns files, and all files below folders, as images without classes, e.g. to predict on.

    Raises:
        DataError: a path is missing, or there are no files.
    """
    names: list[str] = []
    for path in (require_path(path, shelf=()) for path in paths):
        if path.is_dir():
            names += sorted((str(path / name) for name in files_below(path)), key=natural)
        else:
            names.append(str(path))
    if not names:
        found = f"{', '.join(map(str, paths))} holds no files" if paths else "no images were given"
        raise DataError(f"{found}; give images, or folders of images")
    nothing = np.zeros(len(names), dtype=np.int64)
    return Split((), nothing, Names.of(names), nothing, Files(Path()))


def require_path(where: str | Path, *, shelf: Sequence[str] = SHELF) -> Path:
    """Returns the path; `shelf` holds names that may have been meant.

    Raises:
        DataError: nothing is there; the message offers the nearest name beside it, or on the shelf.
    """
    path = Path(where)
    if path.exists():
        return path
    folder = path.parent
    beside = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    near = get_close_matches(str(where), shelf, n=1, cutoff=0.7)
    near += [str(folder / name) for name in get_close_matches(path.name, beside, n=1)]
    names = f", or one of {', '.join(shelf)}" if shelf else ""
    hint = f"did you mean {near[0]!r}?" if near else f"give a path{names}"
    raise DataError(f"{path} does not exist; {hint}")
