"""Pictures kept decoded: decoding is a large part of reading a small one.

The first survey of a source whose pictures are few and small writes them to a file in the cache
folder, by the digest of each file's content; later ones, and training, map that file. A source that
changes brings other digests, and a picture whose checksum is wrong is decoded again: what is
learnt from is the same with the file, without it, and with a damaged one.

The file: pixels of one picture after another; a table with a row for each (`_ROW`); 8 bytes that
say where the table begins, and 4 with its checksum.
"""

import hashlib
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import IO, Any, Self

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.cache import cache_folder
from vertebra.data.decode import MODES, BrokenImage
from vertebra.data.images import Source, Split
from vertebra.data.pixels import Pixels, picture_of
from vertebra.data.readers import Reader
from vertebra.errors import DeviceError

LIMIT_MB = 1024
"""Pixels of one source that are kept at most; $VERTEBRA_DECODED_MB says otherwise, 0 keeps none."""

_MB = 2**20

_FILES = 8
"""Sources that are kept; the one that was longest unused goes first."""

_PROBED = 32
"""Headers of each split by which its size is foreseen."""

_ROW = np.dtype(
    [("digest", "u8"), ("start", "i8"), ("width", "i4"), ("height", "i4"), ("crc", "u4")]
)
_FORM = "2"
"""Part of the name of each file: another form, or another decoder, finds none of these."""

_UNFINISHED = ".part"


@dataclass(frozen=True, eq=False)
class Pictures:
    """What a file holds; nothing where there is none, or not a whole one.

    table: [n], a row for each picture.
    bytes: of all pictures, mapped.
    whole: [n], rows whose checksum this process has compared.
    """

    path: Path
    channels: int
    table: NDArray[np.void]
    bytes: NDArray[np.uint8]
    whole: NDArray[np.bool_]

    @classmethod
    def read(cls, path: Path, channels: int) -> Self:
        """Returns the pictures of a file."""
        try:
            with path.open("rb") as file:
                file.seek(-12, os.SEEK_END)
                start, crc = (int.from_bytes(file.read(size), "little") for size in (8, 4))
                file.seek(start)
                data = file.read()[:-12]
            table = np.frombuffer(data if zlib.crc32(data) == crc else b"", dtype=_ROW)
        except (OSError, ValueError):
            table = np.empty(0, _ROW)
        return cls.of(path, channels, table)

    @classmethod
    def of(cls, path: Path, channels: int, table: NDArray[np.void]) -> Self:
        """Returns those pictures of a file that stand in `table`."""
        try:
            # not for writing: torch takes no array that is marked as read only
            mapped = np.memmap(path, np.uint8, "c").view(np.ndarray)
        except (OSError, ValueError):
            mapped = np.empty(0, np.uint8)
        return cls(path, channels, table, mapped, np.zeros(len(table), np.bool_))

    def __reduce__(self) -> tuple[Any, ...]:
        # another process maps the file itself, and trusts no checksum compared here
        return Pictures.of, (self.path, self.channels, self.table)

    def rows(self) -> dict[int, int]:
        """Returns each digest's row."""
        return {int(digest): row for row, digest in enumerate(self.table["digest"])}

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Returns the pictures of these rows, in their order."""
        return replace(self, table=self.table[rows], whole=self.whole[rows])

    def size(self, row: int) -> tuple[int, int]:
        """Returns height and width of a row's picture."""
        _, _, width, height, _ = self.table[row].item()
        return height, width

    def pixels(self, row: int) -> Pixels | None:
        """Returns the pixels of a row as the file has them, unless they are damaged."""
        _, start, width, height, crc = self.table[row].item()
        pixels = self.bytes[start : start + width * height * self.channels]
        if not self.whole[row]:
            if zlib.crc32(pixels.data) != crc:
                return None
            self.whole[row] = True
        return pixels.reshape(height, width, self.channels)


@dataclass(frozen=True, eq=False)
class Decoded(Reader):
    """Gives pictures that are kept; those that are damaged, or in other channels, from `source`.

    rows: [n] int64, the row in `source` of each row here.
    """

    source: Reader
    rows: NDArray[np.int64]
    pictures: Pictures

    def content(self, row: int, name: str, *, limit: int | None = None) -> bytes:
        """Returns the image file, from where it came."""
        return self.source.content(int(self.rows[row]), name, limit=limit)

    def picture(self, row: int, name: str, channels: int) -> Image.Image:
        """Returns the picture; there is nothing to decode."""
        pixels = self._kept(row, channels)
        if pixels is None:
            return self.source.picture(int(self.rows[row]), name, channels)
        return picture_of(pixels)

    def pixels(self, row: int, name: str, channels: int) -> Pixels:
        """Returns the picture's part of the file; nothing is copied."""
        pixels = self._kept(row, channels)
        if pixels is None:
            return self.source.pixels(int(self.rows[row]), name, channels)
        return pixels

    def _kept(self, row: int, channels: int) -> Pixels | None:
        return self.pictures.pixels(row) if channels == self.pictures.channels else None


class Album:
    """The pictures of a source while it is surveyed: those there are, and new ones.

    Files are known by their digests, so splits may change and a file may stand in two of them.
    """

    @classmethod
    def of(cls, source: Source, channels: int) -> Self | None:
        """Returns the album of a source; None where none is wanted or its pictures are in memory,
        and where they are too large by the headers of some of them.

        Raises:
            DeviceError: the environment gives a limit that is no number.
        """
        limit = _limit()
        splits = [*source.splits.values()]
        if limit == 0 or all(split.in_memory for split in splits):
            return None
        if sum(_pixels(split) for split in splits) * channels > limit:
            return None
        place = str(Path(source.where).resolve())
        key = "\0".join((_FORM, PIL.__version__, MODES[channels], place))
        name = hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        return cls(cache_folder() / "decoded" / name, channels, limit)

    def __init__(self, path: Path, channels: int, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._lock = Lock()  # a survey has several threads
        self._kept = Pictures.read(path, channels)
        self._rows = self._kept.rows()
        self._new: dict[int, tuple[int, int, int, int, int]] = {}
        self._end = 0
        self._file: IO[bytes] | None = None
        self._is_open = True

    def size(self, digest: int) -> tuple[int, int] | None:
        """Returns height and width of the picture of a file with this content, if it is there."""
        row = self._rows.get(digest)
        return None if row is None else self._kept.size(row)

    def add(self, digest: int, pixels: Pixels) -> None:
        """Keeps a picture; more than the limit after all, or a full disk, end the album."""
        data = pixels.tobytes()
        height, width, _ = pixels.shape
        with self._lock:
            if not self._is_open or digest in self._new:
                return
            try:
                self._file = self._file or self._begin()
                self._file.write(data)
            except OSError:
                self._give_up()
                return
            self._new[digest] = digest, self._end, width, height, zlib.crc32(data)
            self._end += len(data)
            if self._end > self._limit:
                self._give_up()

    def close(self, used: NDArray[np.uint64]) -> None:
        """Writes what is new beside what is `used` of the old, if there is anything new."""
        for digest in {int(each) for each in used} if self._new else ():
            row = self._rows.get(digest)
            pixels = None if row is None else self._kept.pixels(row)
            if pixels is not None:
                self.add(digest, pixels)
        if self._file is not None:
            self._finish(self._file)
        elif self._path.is_file():
            os.utime(self._path)  # it has been used

    def split(self, split: Split, digests: NDArray[np.uint64]) -> Split:
        """Returns the split with its pictures read from here; as it is where one is missing."""
        rows = [self._rows.get(int(digest)) for digest in digests]
        if not rows or None in rows or split.in_memory:
            return split
        reader = Decoded(split.reader, split.rows, self._kept.take(np.array(rows, np.int64)))
        return replace(split, rows=np.arange(len(split)), reader=reader)

    def _begin(self) -> IO[bytes]:
        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < 2 * self._limit:
            raise OSError(f"{folder} has too little room")
        return tempfile.NamedTemporaryFile(dir=folder, suffix=_UNFINISHED, delete=False)

    def _finish(self, file: IO[bytes]) -> None:
        table = np.array([*self._new.values()], dtype=_ROW).tobytes()
        try:
            with file:
                file.write(table + self._end.to_bytes(8, "little"))
                file.write(zlib.crc32(table).to_bytes(4, "little"))
            Path(file.name).replace(self._path)
            _drop_oldest(self._path.parent)
        except OSError:
            self._give_up()
            return
        self._kept = Pictures.read(self._path, self._kept.channels)
        self._rows = self._kept.rows()

    def _give_up(self) -> None:
        """Leaves no file behind: pictures are decoded as they are asked for."""
        self._is_open, self._new = False, {}
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None


def _pixels(split: Split) -> float:
    """Returns how many pixels a split has, by the headers of some evenly spaced files."""
    sizes: list[int] = []
    for index in np.linspace(0, len(split) - 1, min(len(split), _PROBED), dtype=np.int64):
        try:
            width, height = split.probe(int(index))
        except BrokenImage:  # will be refused
            continue
        sizes.append(width * height)
    return len(split) * sum(sizes) / max(1, len(sizes))


def _limit() -> int:
    said = os.environ.get("VERTEBRA_DECODED_MB", str(LIMIT_MB))
    if not said.isdecimal():
        raise DeviceError(f"VERTEBRA_DECODED_MB={said!r}; give a whole number, 0 to keep nothing")
    return int(said) * _MB


def _drop_oldest(folder: Path) -> None:
    whole = [path for path in folder.iterdir() if path.suffix != _UNFINISHED]
    for path in sorted(whole, key=lambda path: path.stat().st_mtime)[:-_FILES]:
        path.unlink(missing_ok=True)  # whoever has mapped it keeps it
