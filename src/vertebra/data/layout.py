"""Reads splits and classes off the names of files, in a folder or an archive alike.

CLASS/.../file    or    SPLIT/CLASS/.../file    or either below one folder that wraps everything
"""

from collections.abc import Iterable, Sequence

from vertebra.data.gather import SPLITS, Entry, gather
from vertebra.data.images import Source, listed
from vertebra.data.readers import Reader
from vertebra.errors import DataError, NoClassFolders

_CLUTTER = {"thumbs.db", "desktop.ini", "icon\r"}
_CLUTTER_STEMS = {"readme", "license", "licence"}


def lay_out(names: Sequence[str], reader: Reader, *, name: str, where: str) -> Source:
    """Returns the source that files with these names (below `where`, "/" between folders) make.

    A name's place in `names` is its row in `reader`.

    Raises:
        DataError: no files, no class folders, or split folders that cannot be told apart.
    """
    paths = {row: text.split("/") for row, text in enumerate(names) if not is_clutter(text)}
    if not paths:
        raise DataError(f"{where} holds no files; give a folder with a folder of images per class")
    _unwrap(paths)
    by_split = _is_split_first(paths)
    depth = 3 if by_split else 2
    used = {row: path for row, path in paths.items() if len(path) >= depth}
    if by_split:
        used = {row: path for row, path in used.items() if path[0].lower() in SPLITS}
        _require_distinct({path[0] for path in used.values()}, where)
    if not used:
        raise NoClassFolders(
            f"{where} holds {len(paths)} files but no class folders; put the images of each class "
            f"into a folder named after it, write a manifest (CSV with path and label), or learn "
            f"without classes with `vertebra pretrain`"
        )
    entries = [
        Entry(names[row], row, SPLITS[path[0].lower()] if by_split else "train", path[depth - 2])
        for row, path in used.items()
    ]
    beside = [names[row] for row in paths if row not in used]
    return gather(entries, reader, name=name, where=where, notes=_note(beside))


def is_clutter(name: str) -> bool:
    """Returns whether a name is hidden or one that systems and authors leave beside images."""
    if name.startswith(".") or "/." in name:
        return True
    *folders, last = name.lower().split("/")
    stem = last.partition(".")[0]
    return last in _CLUTTER or "__macosx" in folders or stem in _CLUTTER_STEMS


def _unwrap(paths: dict[int, list[str]]) -> None:
    """Takes off folders that hold everything else and are neither a split nor the class itself."""
    while True:
        tops = {path[0] for path in paths.values() if len(path) > 1}
        deep = any(len(path) > 2 for path in paths.values())
        if len(tops) != 1 or not deep or next(iter(tops)).lower() in SPLITS:
            return
        for path in paths.values():
            if len(path) > 1:
                del path[0]


def _is_split_first(paths: dict[int, list[str]]) -> bool:
    """Whether the first folders are splits: "train" may also be a class, beside "bus" and "car".

    They are splits if all bear the name of one, or if the one for training holds folders.
    """
    folders = {path[0].lower() for path in paths.values() if len(path) > 1}
    nested = {path[0].lower() for path in paths.values() if len(path) > 2}
    return folders <= SPLITS.keys() or any(SPLITS.get(folder) == "train" for folder in nested)


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


def _note(beside: Sequence[str]) -> tuple[str, ...]:
    if not beside:
        return ()
    return (f"{len(beside)} files outside the class folders are not used: {listed(beside, 3)}",)
