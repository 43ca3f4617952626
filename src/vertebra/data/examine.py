"""Looks at every file before training: found = used + refused, and no file in two splits unseen."""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vertebra.cores import usable_cores
from vertebra.data.decode import BrokenImage, decode, decoding_in_threads
from vertebra.data.decoded import Album
from vertebra.data.images import Split
from vertebra.data.pixels import pixels_of
from vertebra.errors import DataError

_CHUNK = 64


class Refusal(NamedTuple):
    """A file that is not used, and why."""

    name: str
    reason: str


class Twin(NamedTuple):
    """The same file in two splits: what is reported there was trained on here."""

    first: str
    second: str


@dataclass(frozen=True, eq=False)
class Examination:
    """What was found: found = used + refused.

    kept:    places of the usable images in the split.
    digests: [found] checksums of the files' contents; None where only headers were read.
    size:    (height, width) that all usable ones have; None where they differ, and where they are
             not square and only headers were read, which do not always say what is upright.
    """

    found: int
    refused: tuple[Refusal, ...]
    kept: NDArray[np.int64]
    digests: NDArray[np.uint64] | None
    size: tuple[int, int] | None = None

    @property
    def used(self) -> int:
        """How many can be used."""
        return len(self.kept)


class _Look(NamedTuple):
    refusal: Refusal | None
    digest: int = 0
    size: tuple[int, int] | None = None


def examine(
    split: Split,
    *,
    channels: int,
    full: bool,
    album: Album | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Examination:
    """Returns which files give a picture; `full` decodes each, otherwise only headers are read.

    album:       pictures that need not be decoded again; it gets those that were.
    on_progress: is called with (done, total) now and then.

    Raises:
        DataError: not one file can be used.
    """
    look = partial(_look_at, split, channels, full, album)
    chunks = [range(at, min(at + _CHUNK, len(split))) for at in range(0, len(split), _CHUNK)]
    looks: list[_Look] = []
    with decoding_in_threads(), ThreadPoolExecutor(usable_cores()) as pool:
        for part in pool.map(look, chunks):
            looks += part
            if on_progress is not None:
                on_progress(len(looks), len(split))
    refused = tuple(each.refusal for each in looks if each.refusal is not None)
    if len(refused) == len(split):
        raise DataError(
            f"none of {len(split)} files can be used; the first: {BrokenImage(*refused[0])}"
        )
    kept = [index for index, each in enumerate(looks) if each.refusal is None]
    digests = np.array([each.digest for each in looks], dtype=np.uint64) if full else None
    sizes = {each.size for each in looks if each.refusal is None}
    size = sizes.pop() if len(sizes) == 1 else None
    return Examination(len(split), refused, np.array(kept, dtype=np.int64), digests, size)


def keep(split: Split, examination: Examination) -> Split:
    """Returns the split without the files that were refused, with the size that was seen."""
    kept = split.subset(examination.kept) if examination.refused else split
    return replace(kept, size=examination.size)


def twins(splits: Mapping[str, Split], examinations: Mapping[str, Examination]) -> tuple[Twin, ...]:
    """Returns the files whose very content stands in two splits; needs full examinations."""
    first: dict[int, str] = {}
    found: list[Twin] = []
    for name, split in splits.items():
        digests = examinations[name].digests
        if digests is None:
            continue
        here = {int(digests[index]): split.name(index) for index in examinations[name].kept}
        found += [Twin(first[digest], file) for digest, file in here.items() if digest in first]
        first = here | first
    return tuple(found)


def _look_at(
    split: Split, channels: int, full: bool, album: Album | None, indices: range
) -> list[_Look]:
    return [_look(split, channels, full, album, index) for index in indices]


def _look(split: Split, channels: int, full: bool, album: Album | None, index: int) -> _Look:
    name = split.name(index)
    try:
        if not full:
            width, height = split.probe(index)
            return _Look(None, size=(height, width) if height == width else None)
        data = split.content(index)
        digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
        size = album.size(digest) if album is not None else None
        if size is None:
            pixels = pixels_of(decode(data, name, channels))
            size = pixels.shape[:2]
            if album is not None:
                album.add(digest, pixels)
    except BrokenImage as error:
        return _Look(Refusal(name, error.reason))
    return _Look(None, digest, size)
