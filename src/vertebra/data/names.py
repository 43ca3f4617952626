"""Many names in little memory, and the order in which people expect names to stand."""

import hashlib
import io
import re
from array import array
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_DIGITS = re.compile(r"(\d+)")
# names of files need not be text; this keeps any bytes, there and back
_CODING = ("utf-8", "surrogateescape")


class Names(Collection[str]):
    """A sequence of strings kept as one run of bytes, so that worker processes share it untouched.

    A list of a million strings costs some 100 MB in every process that counts references to them;
    this costs the characters and 8 bytes a name.
    """

    def __init__(self, blob: bytes, ends: NDArray[np.int64]) -> None:
        self._blob = blob
        self._ends = ends

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        """Returns the names in their order, taken one after another."""
        growing = GrowingNames()
        for name in names:
            growing.append(name)
        return growing.close()

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        place = range(len(self))[index]
        start = int(self._ends[place - 1]) if place else 0
        return self._blob[start : int(self._ends[place])].decode(*_CODING)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in map(int, self._ends):
            yield self._blob[start:end].decode(*_CODING)
            start = end

    def __contains__(self, name: object) -> bool:
        return any(name == each for each in self)

    def take(self, indices: NDArray[np.int64]) -> "Names":
        """Returns the names at `indices`."""
        return Names.of(self[int(index)] for index in indices)

    def order(self) -> NDArray[np.int64]:
        """Returns the places of the names, [n], in the order of their characters."""
        # looked at first, as sorting has all of them in memory as strings
        if all(first <= second for first, second in pairwise(self)):
            return np.arange(len(self))
        return np.array(sorted(range(len(self)), key=self.__getitem__), dtype=np.int64)

    def digest(self) -> bytes:
        """Returns 16 bytes that other names, or another order, do not have."""
        digest = hashlib.blake2b(self._blob, digest_size=16)
        digest.update(self._ends.tobytes())
        return digest.digest()


class GrowingNames:
    """Names that are written one after another; what has been written is not kept as strings."""

    def __init__(self) -> None:
        self._blob = io.BytesIO()
        self._ends = array("q")

    def append(self, name: str) -> None:
        """Writes a name behind the others."""
        self._blob.write(name.encode(*_CODING))
        self._ends.append(self._blob.tell())

    def close(self) -> Names:
        """Returns the names that have been written, in their order."""
        return Names(self._blob.getvalue(), np.array(self._ends, dtype=np.int64))


def natural(name: str) -> tuple[tuple[tuple[int, int | str], ...], str]:
    """Returns a sorting key that puts "img2" before "img10" and "Cat" beside "cat"."""
    parts = _DIGITS.split(name.casefold())
    # \d is any script's digit and int() reads them all; numbers sort before text
    key = tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)
    return key, name
