"""Gathers named, labelled files into a source: one list of classes, the same for every split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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


class Group(NamedTuple):
    """What files have in common, e.g. those of a folder: split ("train", "val", "test"), class."""

    split: str
    label: str


@dataclass(frozen=True, eq=False)
class Listing:
    """Files as they were found; a file's place here is its row in the reader.

    groups: what there is, with files in each; None for files that are not used.
    places: [n] int64, the place of each file's group in `groups`.
    """

    names: Names
    groups: Sequence[Group | None]
    places: NDArray[np.int64]


def gather(
    listing: Listing, reader: Reader, *, name: str, where: str, notes: tuple[str, ...] = ()
) -> Source:
    """Returns the source that the files make; the training split's classes are the classes.

    Classes stand in natural order ("class2" before "class10"), files in that of their characters,
    whatever the order in which an archive or a manifest lists them.

    Raises:
        DataError: no training images, one class only, or a class that only other splits have.
    """
    groups = [group for group in listing.groups if group is not None]
    labels = {split: _labels(groups, split) for split in ("train", "val", "test")}
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
    order = listing.names.order()
    splits = {
        split: _split(listing, order, split, classes, reader) for split in labels if labels[split]
    }
    return Source(name, where, classes, splits, notes)


def _labels(groups: Iterable[Group], split: str) -> tuple[str, ...]:
    return tuple(sorted({group.label for group in groups if group.split == split}, key=natural))


def _split(
    listing: Listing, order: NDArray[np.int64], split: str, classes: tuple[str, ...], reader: Reader
) -> Split:
    """Returns the files of a split, in their order."""
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.zeros(len(listing.groups), dtype=np.int64)
    is_here = np.zeros(len(listing.groups), dtype=np.bool_)
    for place, group in enumerate(listing.groups):
        if group is not None and group.split == split:
            labels[place], is_here[place] = numbers[group.label], True
    rows = order[is_here[listing.places[order]]]
    return Split(classes, labels[listing.places[rows]], listing.names.take(rows), rows, reader)
