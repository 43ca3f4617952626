"""A manifest: a CSV or TSV file with a header, one image a line: path, label and, if wanted, split.

Paths are relative to the manifest's folder or absolute; a split is train, val or test, and train
without the column.
"""

import csv
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from vertebra.data.gather import SPLITS, Entry, gather
from vertebra.data.images import Source, listed
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
    rows, notes = _read(path)
    entries = [_entry(row, number, path) for number, row in rows]
    _require_once(entries, rows, path)
    missing = [entry.name for entry in entries if not (path.parent / entry.name).is_file()]
    if missing:
        raise DataError(
            f"{path} names {len(missing)} of {len(entries)} files that are not there: "
            f"{listed(missing, 3)}; paths are read from {path.parent.resolve()}: put them "
            f"there, or remove the lines"
        )
    return gather(entries, Files(path.parent), name=path.stem, where=str(path), notes=notes)


def _read(path: Path) -> tuple[list[tuple[int, dict[str, str]]], tuple[str, ...]]:
    """Returns the rows with their line numbers, and a note on columns that are not used."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(
                file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", restval=""
            )
            header = [column.strip().lower() for column in reader.fieldnames or ()]
            extra = _require_columns(header, path)
            reader.fieldnames = header
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as UTF-8 CSV ({error}); save it as that") from error
    if not rows:
        raise DataError(f"{path} lists no images; write a line with path and label for each")
    return rows, (f"columns that are not used: {listed(extra)}",) if extra else ()


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


def _entry(row: dict[str, str], line: int, path: Path) -> Entry:
    name, label = (row[column].strip() for column in ("path", "label"))
    if not name or not label:
        raise DataError(f"{path} line {line} has no {'label' if name else 'path'}; write one")
    split = row.get("split", "train").strip().lower()
    if split not in SPLITS:
        raise DataError(f"{path} line {line} has the split {split!r}; {suggest(split, SPLITS)}")
    return Entry(name, 0, SPLITS[split], label)


def _require_once(
    entries: Sequence[Entry], rows: Sequence[tuple[int, dict[str, str]]], path: Path
) -> None:
    lines: dict[str, int] = {}
    for entry, (line, _) in zip(entries, rows, strict=True):
        if entry.name in lines:
            raise DataError(
                f"{path} names {entry.name!r} on lines {lines[entry.name]} and {line}; keep one"
            )
        lines[entry.name] = line
