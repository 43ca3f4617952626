"""A manifest: a CSV or TSV file with a header, one image a line: path, label and, if wanted, split.

Paths are relative to the manifest's folder or absolute; a split is train, val or test, and train
without the column.
"""

import csv
from array import array
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

import numpy as np

from vertebra.data.gather import SPLITS, Group, Listing, gather
from vertebra.data.images import Source, listed
from vertebra.data.names import GrowingNames, Names
from vertebra.data.readers import Files
from vertebra.errors import DataError
from vertebra.lookup import suggest

_COLUMNS = ("path", "label", "split")


def open_manifest(path: Path) -> Source:
    """Returns the images that a manifest lists.

    Raises:
        DataError: a column or a value is missing or unknown, or a file is not there or listed
        twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            listing, lines, notes = _read(file, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as UTF-8 CSV ({error}); save it as that") from error
    _require_once(listing.names, lines, path)
    missing = [name for name in listing.names if not (path.parent / name).is_file()]
    if missing:
        raise DataError(
            f"{path} names {len(missing)} of {len(lines)} files that are not there: "
            f"{listed(missing, 3)}; paths are read from {path.parent.resolve()}: put them "
            f"there, or remove the lines"
        )
    return gather(listing, Files(path.parent), name=path.stem, where=str(path), notes=notes)


def _read(file: Iterable[str], path: Path) -> tuple[Listing, Sequence[int], tuple[str, ...]]:
    """Returns the files, the number of each one's line, and a note on columns that are not used."""
    reader = csv.DictReader(
        file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", restval=""
    )
    header = [column.strip().lower() for column in reader.fieldnames or ()]
    extra = _require_columns(header, path)
    reader.fieldnames = header
    names, places, lines = GrowingNames(), array("q"), array("q")
    groups: dict[Group, int] = {}
    for row in reader:
        name, group = _file(row, reader.line_num, path)
        names.append(name)
        places.append(groups.setdefault(group, len(groups)))
        lines.append(reader.line_num)
    if not lines:
        raise DataError(f"{path} lists no images; write a line with path and label for each")
    listing = Listing(names.close(), list(groups), np.array(places, dtype=np.int64))
    return listing, lines, (f"columns that are not used: {listed(extra)}",) if extra else ()


def _require_columns(header: Sequence[str], path: Path) -> list[str]:
    """Returns the columns that mean nothing here; one that looks misspelt is an error."""
    extra = [column for column in header if column not in _COLUMNS]
    absent = [column for column in _COLUMNS if column not in header]
    for column in extra:
        if near := get_close_matches(column, absent, n=1, cutoff=0.75):
            raise DataError(f"{path} has the column {column!r}; did you mean {near[0]!r}?")
    for column in absent:
        if column != "split":
            raise DataError(
                f"{path} has no column {column!r} (it has {listed(header)}); its first line must "
                f"name path and label, and may name split"
            )
    return extra


def _file(row: dict[str, str], line: int, path: Path) -> tuple[str, Group]:
    name, label = (row[column].strip() for column in ("path", "label"))
    if not name or not label:
        raise DataError(f"{path} line {line} has no {'label' if name else 'path'}; write one")
    split = row.get("split", "train").strip().lower()
    if split not in SPLITS:
        raise DataError(f"{path} line {line} has the split {split!r}; {suggest(split, SPLITS)}")
    return name, Group(SPLITS[split], label)


def _require_once(names: Names, lines: Sequence[int], path: Path) -> None:
    order = names.order().tolist()  # the same names stand together, as their lines do
    pairs = pairwise(order)
    twice = [(second, first) for first, second in pairs if names[first] == names[second]]
    if twice:
        second, first = min(twice)
        raise DataError(
            f"{path} names {names[first]!r} on lines {lines[first]} and {lines[second]}; keep one"
        )
