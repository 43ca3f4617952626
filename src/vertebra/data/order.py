"""Which images an update sees: a pure function of the seed, so that a run can go on from any step.

Training reads an endless stream of positions 0, 1, 2, ...; of n images, position p is the place p %
n in a permutation that (seed, p // n) draws. Update s takes positions [s B, (s + 1) B): no image is
dropped, batches are always full, and a data set may be smaller than a batch. Rank r of W takes, for
the accumulated batch m of A, chunk m W + r of the update:

  update  |------------------- B -------------------|     W = 2, A = 2, each chunk B / (A W) images
          | m0 r0   | m0 r1   | m1 r0   | m1 r1   |
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vertebra.errors import RecipeError
from vertebra.seeding import generator


class Place(NamedTuple):
    """An image in the stream: the pass over the data, and the sample of the data set."""

    epoch: int
    sample: int


class Places(NamedTuple):
    """The images of a batch, as `Place` has one: each [N] int64.

    skipped: how many images stood before each in its pass that cannot be read.
    """

    epochs: NDArray[np.int64]
    samples: NDArray[np.int64]
    skipped: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The stream of `length` images, as one process of a run sees it.

    batch_size: images in an update, over all processes and accumulated batches.
    """

    length: int
    seed: int
    batch_size: int
    accumulate: int = 1
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % (self.accumulate * self.world):
            raise RecipeError(
                f"batch_size={self.batch_size} cannot be shared by {self.world} processes x "
                f"{self.accumulate} accumulated batches; use a multiple of "
                f"{self.accumulate * self.world}"
            )

    def positions(self, number: int) -> range:
        """Returns where this process's batch `number` lies; an update has `accumulate` of them."""
        step, micro = divmod(number, self.accumulate)
        size = self.batch_size // (self.accumulate * self.world)
        start = step * self.batch_size + (micro * self.world + self.rank) * size
        return range(start, start + size)

    def place(self, position: int, *, skip: int = 0) -> Place:
        """Returns what stands at a position, or `skip` further in the same pass, round its end."""
        epoch, place = divmod(position, self.length)
        shuffled = permutation(self.length, self.seed, epoch)
        return Place(epoch, int(shuffled[(place + skip) % self.length]))

    def places(self, number: int, readable: NDArray[np.bool_]) -> Places:
        """Returns what stands at the positions of batch `number`, or further in the same pass where
        that is not readable; `readable` [length] has at least one that is."""
        epochs, places = np.divmod(np.array(self.positions(number)), self.length)
        samples, skipped = np.empty_like(places), np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            shuffled = permutation(self.length, self.seed, epoch)
            found = _next_readable(shuffled, places[here], readable)
            samples[here] = shuffled[found]
            skipped[here] = (found - places[here]) % self.length
        return Places(epochs, samples, skipped)


def _next_readable(
    shuffled: NDArray[np.int64], places: NDArray[np.int64], readable: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Returns for each place of a pass that or the next one, round its end, that is readable."""
    if readable.all():
        return places
    standing = np.flatnonzero(readable[shuffled])
    return standing[np.searchsorted(standing, places) % len(standing)]


# two: a batch can reach over the end of a pass
@lru_cache(maxsize=2)
def permutation(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Returns the order of pass `epoch`."""
    return torch.randperm(length, generator=generator(seed, "order", epoch)).numpy()
