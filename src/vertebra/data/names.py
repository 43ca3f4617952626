"""Many names in little memory, and the order in which people expect names to stand."""

import hashlib
import re
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

_DIGITS = re.compile(r"(\d+)")
# names of files need not be text; this keeps any bytes, there and back
_CODING = ("utf-8", "surrogateescape")


class Names:
    """A sequence of strings kept as one run of bytes, so that worker processes share it untouched.

    A list of a million strings costs some 100 MB in every process that counts references to them;
    this costs the characters and 8 bytes a name.
    """

    def __init__(self, blob: bytes, ends: NDArray[np.int64]) -> None:
        self._blob = blob
        self._ends = ends

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        """Returns the names in their order."""
        return cls._join([name.encode(*_CODING) for name in names])

    @classmethod
    def _join(cls, parts: list[bytes]) -> "Names":
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(b"".join(parts), np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        return self._raw(range(len(self))[index]).decode(*_CODING)

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: NDArray[np.int64]) -> "Names":
        """Returns the names at `indices`."""
        return self._join([self._raw(index) for index in indices.tolist()])

    def digest(self) -> bytes:
        """Returns 16 bytes that other names, or another order, do not have."""
        return hashlib.blake2b(self._blob + self._ends.tobytes(), digest_size=16).digest()

    def _raw(self, index: int) -> bytes:
        start = int(self._ends[index - 1]) if index else 0
        return self._blob[start : int(self._ends[index])]


def natural(name: str) -> tuple[tuple[tuple[int, int | str], ...], str]:
    """Returns a sorting key that puts "img2" before "img10" and "Cat" beside "cat"."""
    parts = _DIGITS.split(name.casefold())
    # \d is any script's digit and int() reads them all; numbers sort before text
    key = tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)
    return key, name
