"""Reads splits and classes off the names of files, in a folder or an archive alike.

CLASS/.../file    or    SPLIT/CLASS/.../file    or either below one folder that wraps everything
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from vertebra.data.gather import SPLITS, Group, Listing, gather
from vertebra.data.images import Source, listed
from vertebra.data.names import Names
from vertebra.data.readers import Reader
from vertebra.errors import DataError, NoClassFolders

_Folder = tuple[str, ...]
"""The names of a folder and of those above it, from the top."""

_CLUTTER = {"thumbs.db", "desktop.ini", "icon\r"}
_CLUTTER_STEMS = {"readme", "license", "licence"}


def lay_out(names: Names, reader: Reader, *, name: str, where: str) -> Source:
    """Returns the source that files with these names (below `where`, "/" between folders) make.

    A name's place in `names` is its row in `reader`. Files are told apart by their folder alone.

    Raises:
        DataError: no files, no class folders, or split folders that cannot be told apart.
    """
    if not len(names):
        raise DataError(f"{where} holds no files; give a folder with a folder of images per class")
    folders, places = _by_folder(names)
    folders = _unwrapped(folders)
    by_split = _is_split_first(folders)
    groups = [_group(folder, by_split=by_split) for folder in folders]
    used = {folder for folder, group in zip(folders, groups, strict=True) if group is not None}
    if not used:
        raise NoClassFolders(
            f"{where} holds {len(names)} files but no class folders; put the images of each class "
            f"into a folder named after it, write a manifest (CSV with path and label), or learn "
            f"without classes with `vertebra pretrain`"
        )
    if by_split:
        _require_distinct({folder[0] for folder in used}, where)
    is_beside = np.array([group is None for group in groups])[places]
    notes = _note(names.take(np.flatnonzero(is_beside)))
    return gather(Listing(names, groups, places), reader, name=name, where=where, notes=notes)


def is_clutter(name: str) -> bool:
    """Returns whether a name is hidden or one that systems and authors leave beside images."""
    if name.startswith(".") or "/." in name:
        return True
    *folders, last = name.lower().split("/")
    stem = last.partition(".")[0]
    return last in _CLUTTER or "__macosx" in folders or stem in _CLUTTER_STEMS


def _by_folder(names: Names) -> tuple[list[_Folder], NDArray[np.int64]]:
    """Returns the folders that hold files, and each file's place among them, [n]."""
    places: dict[_Folder, int] = {}
    folders = (tuple(name.split("/")[:-1]) for name in names)
    of_each = (places.setdefault(folder, len(places)) for folder in folders)
    inside = np.fromiter(of_each, np.int64, len(names))
    return list(places), inside


def _unwrapped(folders: list[_Folder]) -> list[_Folder]:
    """Takes off folders that hold everything else and are neither a split nor the class itself."""
    while True:
        tops = {folder[0] for folder in folders if folder}
        deep = any(len(folder) > 1 for folder in folders)
        if len(tops) != 1 or not deep or next(iter(tops)).lower() in SPLITS:
            return folders
        folders = [folder[1:] for folder in folders]


def _is_split_first(folders: Sequence[_Folder]) -> bool:
    """Whether the first folders are splits: "train" may also be a class, beside "bus" and "car".

    They are splits if all bear the name of one, or if the one for training holds folders.
    """
    tops = {folder[0].lower() for folder in folders if folder}
    nested = {folder[0].lower() for folder in folders if len(folder) > 1}
    return tops <= SPLITS.keys() or any(SPLITS.get(top) == "train" for top in nested)


def _group(folder: _Folder, *, by_split: bool) -> Group | None:
    """Returns split and class of the files in a folder; None outside the class folders."""
    if not by_split:
        return Group("train", folder[0]) if folder else None
    if len(folder) < 2 or folder[0].lower() not in SPLITS:
        return None
    return Group(SPLITS[folder[0].lower()], folder[1])


def _require_distinct(tops: Iterable[str], where: str) -> None:
    seen: dict[str, str] = {}
    for top in sorted(tops):
        split = SPLITS[top.lower()]
        if split in seen:
            raise DataError(
                f"{where} holds {seen[split]!r} and {top!r}, which both mean {split}; "
                f"keep one, or join them"
            )
        seen[split] = top


def _note(beside: Names) -> tuple[str, ...]:
    if not len(beside):
        return ()
    return (f"{len(beside)} files outside the class folders are not used: {listed(beside, 3)}",)
