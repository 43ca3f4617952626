"""CIFAR-10 and CIFAR-100 from their binary versions; nothing is downloaded unless asked for.

Source: Learning Multiple Layers of Features from Tiny Images (2009), chapter 3. A record is one
label byte (CIFAR-100: two, coarse and fine) and 3072 bytes of pixels: red, green and blue planes,
32 x 32.
"""

import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vertebra.data.cache import cache_folder, fetch
from vertebra.data.images import Source, Split
from vertebra.data.names import Names
from vertebra.data.readers import Arrays
from vertebra.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Cifar:
    """How one of the two lies on disk; of a record's `label_bytes` the last one is used."""

    name: str
    folder: str
    archive: str
    md5: str
    url: str
    classes: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int


CIFAR10 = Cifar(
    name="cifar10",
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    classes="batches.meta.txt",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test=("test_batch.bin",),
    label_bytes=1,
)
CIFAR100 = Cifar(
    name="cifar100",
    folder="cifar-100-binary",
    archive="cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    classes="fine_label_names.txt",
    train=("train.bin",),
    test=("test.bin",),
    label_bytes=2,
)


def open_cifar(kind: Cifar, *, download: bool = False) -> Source:
    """Returns its train and test splits from $VERTEBRA_CACHE, ./data or ~/.cache/vertebra.

    Raises:
        DataError: the files are in none of these folders, or are damaged.
    """
    place = _find(kind)
    if place is None and download:
        place = cache_folder() / kind.archive
        fetch(kind.url, place, md5=kind.md5)
    if place is None:
        raise DataError(
            f"{kind.name} is not on this machine (looked into {', '.join(map(str, _folders()))}); "
            f"put {kind.archive} or the folder {kind.folder} there, "
            f"or allow the download (--download)"
        )
    read = _from_folder(place) if place.is_dir() else _from_archive(place, kind)
    names = read(kind.classes).decode().split()
    splits = {stem: _split(kind, stem, names, read, place) for stem in ("train", "test")}
    return Source(kind.name, str(place), tuple(names), splits)


def _folders() -> tuple[Path, ...]:
    return tuple(dict.fromkeys((cache_folder(), Path("data"), Path.home() / ".cache/vertebra")))


def _find(kind: Cifar) -> Path | None:
    places = [folder / name for folder in _folders() for name in (kind.folder, kind.archive)]
    return next((place for place in places if place.exists()), None)


def _split(
    kind: Cifar,
    stem: Literal["train", "test"],
    classes: Sequence[str],
    read: Callable[[str], bytes],
    place: Path,
) -> Split:
    width = kind.label_bytes + 3072
    files = kind.train if stem == "train" else kind.test
    data = np.frombuffer(b"".join(read(file) for file in files), dtype=np.uint8)
    if not data.size or data.size % width:
        raise _damaged(place, f"{files[0]} is not made of records of {width} bytes")
    records = data.reshape(-1, width)
    labels = records[:, kind.label_bytes - 1].astype(np.int64)
    if labels.max() >= len(classes):
        raise _damaged(place, f"label {labels.max()} has no name in {kind.classes}")
    planes = records[:, kind.label_bytes :].reshape(-1, 3, 32, 32)
    return Split(
        classes=tuple(classes),
        labels=labels,
        names=Names.of(f"{stem}-{row:05d}" for row in range(len(labels))),
        rows=np.arange(len(labels)),
        reader=Arrays(np.ascontiguousarray(planes.transpose(0, 2, 3, 1))),
    )


def _from_folder(place: Path) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        try:
            return (place / name).read_bytes()
        except OSError as error:
            raise _damaged(place, f"{name}: {error.strerror}") from error

    return read


def _from_archive(place: Path, kind: Cifar) -> Callable[[str], bytes]:
    """Reads the whole archive once: gzip cannot be read from the middle."""
    wanted = {f"{kind.folder}/{name}": name for name in (kind.classes, *kind.train, *kind.test)}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(place, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                if member.name in wanted and file is not None:
                    found[wanted[member.name]] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _damaged(place, str(error)) from error

    def read(name: str) -> bytes:
        if name not in found:
            raise _damaged(place, f"it has no {kind.folder}/{name}")
        return found[name]

    return read


def _damaged(place: Path, reason: str) -> DataError:
    return DataError(f"{place} is damaged ({reason}); replace it with the binary version of CIFAR")
