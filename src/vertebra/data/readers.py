"""Where the bytes of a sample lie: in a folder, in an archive, or in memory.

A reader keeps no open file: it can be pickled, crosses a fork, and serves several threads at once.
"""

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.decode import MODES, decode, decode_pixels
from vertebra.data.pixels import Pixels, pixels_of

MAX_BYTES = 2**29
"""A larger member of an archive is refused: a few bytes can unpack to terabytes."""

MEMBER = np.dtype([("start", "i8"), ("stored", "i8"), ("size", "i8"), ("crc", "i8")])
"""A member of an archive: where it begins, its bytes there, its bytes unpacked, its checksum."""


class Reader(ABC):
    """Gives samples by their row or name; `in_memory` tells that worker processes do not pay."""

    in_memory: bool = False

    @abstractmethod
    def content(self, row: int, name: str, *, limit: int | None = None) -> bytes:
        """Returns the image file of a sample, or only about its first `limit` bytes.

        Raises:
            OSError: the file is missing or cannot be read.
            ValueError: the archive is damaged there.
        """

    @abstractmethod
    def picture(self, row: int, name: str, channels: int) -> Image.Image:
        """Returns the decoded picture.

        Raises:
            OSError, ValueError: as for `content`.
            BrokenImage: the content is no image.
        """

    def pixels(self, row: int, name: str, channels: int) -> Pixels:
        """Returns the picture as pixels [H, W, channels], which may not be written to.

        Raises:
            OSError, ValueError, BrokenImage: as for `picture`.
        """
        return pixels_of(self.picture(row, name, channels))


class ImageFiles(Reader):
    """Decodes the image files that it gives."""

    def picture(self, row: int, name: str, channels: int) -> Image.Image:
        """Returns the decoded picture."""
        return decode(self.content(row, name), name, channels)

    def pixels(self, row: int, name: str, channels: int) -> Pixels:
        """Returns its pixels, which may take less time."""
        return decode_pixels(self.content(row, name), name, channels)


@dataclass(frozen=True)
class Files(ImageFiles):
    """Files below a folder, found by their name."""

    root: Path

    def content(self, row: int, name: str, *, limit: int | None = None) -> bytes:
        """Returns the file `root/name`."""
        del row
        with (self.root / name).open("rb") as file:
            return file.read(limit)


@dataclass(frozen=True, eq=False)
class TarMembers(ImageFiles):
    """Members of a plain tar archive, found by their place in it; `table` has dtype `MEMBER`."""

    path: Path
    table: NDArray[np.void]

    def content(self, row: int, name: str, *, limit: int | None = None) -> bytes:
        """Returns the member of row `row`."""
        del name
        size = _checked_size(self.table[row])
        with self.path.open("rb") as file:
            file.seek(int(self.table[row]["start"]))
            data = file.read(size if limit is None else min(limit, size))
        return data if limit is not None else _whole(data, size)


@dataclass(frozen=True, eq=False)
class ZipMembers(ImageFiles):
    """Members of a zip archive, stored or deflated; `start` is where the local header begins."""

    path: Path
    table: NDArray[np.void]

    def content(self, row: int, name: str, *, limit: int | None = None) -> bytes:
        """Returns the member of row `row`, unpacked and compared with its checksum."""
        del name
        member = self.table[row]
        size, stored = _checked_size(member), int(member["stored"])
        with self.path.open("rb") as file:
            file.seek(int(member["start"]))
            is_deflated = _pass_local_header(file)
            data = file.read(stored if limit is None else min(limit, stored))
        if is_deflated:
            data = _inflate(data, size)
        if limit is not None:
            return data
        if zlib.crc32(_whole(data, size)) != member["crc"]:
            raise ValueError("its checksum differs from the archive's")
        return data


@dataclass(frozen=True, eq=False)
class Arrays(Reader):
    """Pictures in memory: array [N, H, W] or [N, H, W, 3], uint8."""

    array: NDArray[np.uint8]
    in_memory = True

    def content(self, row: int, name: str, *, limit: int | None = None) -> bytes:
        """Returns the picture as a portable graymap or pixmap, the plainest of image files."""
        del name, limit
        pixels = self.array[row]
        magic = b"P5" if pixels.ndim == 2 else b"P6"
        return b"%s %d %d 255\n" % (magic, pixels.shape[1], pixels.shape[0]) + pixels.tobytes()

    def picture(self, row: int, name: str, channels: int) -> Image.Image:
        """Returns the picture; there is nothing to decode."""
        del name
        return Image.fromarray(self.array[row]).convert(MODES[channels])

    def pixels(self, row: int, name: str, channels: int) -> Pixels:
        """Returns the picture's part of the array where it has these channels."""
        height, width = self.array.shape[1:3]
        pixels = self.array[row].reshape(height, width, -1)
        return pixels if pixels.shape[2] == channels else super().pixels(row, name, channels)


def _checked_size(member: np.void) -> int:
    size = int(member["size"])
    if size > MAX_BYTES:
        raise ValueError(f"it unpacks to {size} bytes, and {MAX_BYTES} are allowed")
    return size


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError(f"the archive holds {len(data)} of its {size} bytes")
    return data


def _pass_local_header(file: BinaryIO) -> bool:
    """Leaves `file` where the member's bytes begin; returns whether they are deflated.

    The lengths of name and extra field here may differ from those of the central directory.
    """
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise ValueError("the archive has no member where its directory says")
    method, name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (8, 26, 28))
    file.seek(name + extra, 1)
    return method == 8


def _inflate(data: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max(size, 1))
    except zlib.error as error:
        raise ValueError(f"its compressed bytes are damaged ({error})") from error
