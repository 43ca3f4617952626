"""A split: named, labelled images, read one at a time; and the source that splits come from."""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.decode import BrokenImage, probe
from vertebra.data.names import Names
from vertebra.data.pixels import Pixels
from vertebra.data.readers import Reader
from vertebra.errors import DataError

_HEADER = 2**16
"""Bytes within which the header of an image file usually ends."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images with one class each; can be pickled, and is the same in every process.

    classes: names, in the order of the logits.
    labels:  [n] int64, each image's place in `classes`; all 0 where there are no classes.
    names:   what each image is called, for people and for the reader.
    rows:    [n] int64, each image's row in the reader.
    size:    (height, width) that all of them have; None where they differ or nobody has looked.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    names: Names
    rows: NDArray[np.int64]
    reader: Reader
    size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def in_memory(self) -> bool:
        """Whether reading is so cheap that worker processes do not pay."""
        return self.reader.in_memory

    def name(self, index: int) -> str:
        """Returns what the image is called."""
        return self.names[index]

    def content(self, index: int, *, limit: int | None = None) -> bytes:
        """Returns the image's file, or only about its first `limit` bytes.

        Raises:
            BrokenImage: it cannot be read.
        """
        with self._naming(index) as name:
            return self.reader.content(int(self.rows[index]), name, limit=limit)

    def probe(self, index: int) -> tuple[int, int]:
        """Returns (width, height) as the file's header has them; nothing is decoded.

        Raises:
            BrokenImage: it cannot be read, or is no image.
        """
        try:
            return probe(self.content(index, limit=_HEADER), self.name(index))
        except BrokenImage:  # a header can be longer, e.g. behind a large profile
            return probe(self.content(index), self.name(index))

    def open(self, index: int, channels: int) -> Image.Image:
        """Returns the picture, upright, in mode "L", "RGB" or "RGBA" for 1, 3 or 4 channels.

        Raises:
            BrokenImage: it cannot be read or decoded; a `DataError` that names the file.
        """
        with self._naming(index) as name:
            return self.reader.picture(int(self.rows[index]), name, channels)

    def pixels(self, index: int, channels: int) -> Pixels:
        """Returns the picture as `open` does: uint8 [H, W, channels], which may not be written to.

        Raises:
            BrokenImage: it cannot be read or decoded; a `DataError` that names the file.
        """
        with self._naming(index) as name:
            return self.reader.pixels(int(self.rows[index]), name, channels)

    @contextmanager
    def _naming(self, index: int) -> Generator[str]:
        """Gives the image's name, which what goes wrong with it is told with."""
        name = self.names[index]
        try:
            yield name
        except OSError as error:
            raise BrokenImage(name, (error.strerror or str(error)).lower()) from error
        except ValueError as error:
            raise BrokenImage(name, str(error)) from error

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "Split":
        """Returns the images at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            labels=self.labels[chosen],
            names=self.names.take(chosen),
            rows=self.rows[chosen],
        )

    def unlabelled(self) -> "Split":
        """Returns the same images without their classes."""
        return replace(self, classes=(), labels=np.zeros_like(self.labels))

    def relabel(self, classes: Sequence[str]) -> "Split":
        """Returns the same images with labels that count in `classes`, matched by name.

        Raises:
            DataError: an image has a class that is not among them.
        """
        require_known(self.classes, classes, "these images", "the model")
        places = {name: place for place, name in enumerate(classes)}
        moved = np.array([places[name] for name in self.classes], dtype=np.int64)
        return replace(self, classes=tuple(classes), labels=moved[self.labels])


@dataclass(frozen=True, eq=False)
class Source:
    """What was found at a place.

    name:   a short name for titles and folders.
    where:  the place, for people.
    splits: one or more of "train", "val" and "test".
    notes:  what was found there and is not used, a sentence each.
    """

    name: str
    where: str
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    notes: tuple[str, ...] = ()

    def replace(self, splits: Mapping[str, Split]) -> "Source":
        """Returns the source with other splits, e.g. without the files that cannot be read."""
        return replace(self, splits=splits)


def require_known(found: Sequence[str], known: Sequence[str], here: str, there: str) -> None:
    """Checks that every class found `here` is one of those `there`.

    Raises:
        DataError: one is not; the message has both lists.
    """
    unknown = [name for name in found if name not in set(known)]
    if unknown:
        raise DataError(
            f"{here} have the classes {listed(unknown)} that {there} does not have "
            f"(it has {listed(known)}); rename or remove them, or add them there"
        )


def listed(names: Collection[str], most: int = 20) -> str:
    """Returns the names separated by commas, cut short where there are many."""
    shown = ", ".join(repr(name) for name in islice(names, most))
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"
