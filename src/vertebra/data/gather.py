"""Gathers named, labelled files into a source: one list of classes, the same for every split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vertebra.data.images import Source, Split, require_known
from vertebra.data.names import Names, natural
from vertebra.data.readers import Reader
from vertebra.errors import DataError, NoClassFolders

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
"""What a split may be called, in any case, and what it is called here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its name, its row in the reader, its split ("train", "val", "test") and its class."""

    name: str
    row: int
    split: str
    label: str


def gather(
    entries: Sequence[Entry], reader: Reader, *, name: str, where: str, notes: tuple[str, ...] = ()
) -> Source:
    """Returns the source that the entries make; the training split's classes are the classes.

    Classes stand in natural order ("class2" before "class10"), files in that of their characters,
    whatever the order in which a disk or an archive lists them.

    Raises:
        DataError: no training images, one class only, or a class that only other splits have.
    """
    labels = {split: _labels(entries, split) for split in ("train", "val", "test")}
    classes = labels["train"]
    if not classes:
        other = " and ".join(split for split, names in labels.items() if names)
        raise DataError(
            f"{where} holds images for {other or 'nothing'} and none to train on; put them into "
            f"train/CLASS/, or point at a folder of class folders"
        )
    for split in ("val", "test"):
        require_known(labels[split], classes, f"the {split} images of {where}", "its train split")
    if len(classes) == 1:
        raise NoClassFolders(
            f"{where} holds one class only ({classes[0]!r}); at least two are needed: "
            f"put the images of each class into a folder of its own"
        )
    ordered = sorted(entries, key=lambda entry: entry.name)
    splits = {
        split: _split([entry for entry in ordered if entry.split == split], classes, reader)
        for split in labels
        if labels[split]
    }
    return Source(name, where, classes, splits, notes)


def _labels(entries: Sequence[Entry], split: str) -> tuple[str, ...]:
    return tuple(sorted({entry.label for entry in entries if entry.split == split}, key=natural))


def _split(entries: Sequence[Entry], classes: tuple[str, ...], reader: Reader) -> Split:
    places = {name: place for place, name in enumerate(classes)}
    return Split(
        classes=classes,
        labels=np.array([places[entry.label] for entry in entries], dtype=np.int64),
        names=Names.of(entry.name for entry in entries),
        rows=np.array([entry.row for entry in entries], dtype=np.int64),
        reader=reader,
    )
