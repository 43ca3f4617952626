"""Small pictures of one size: all of them lie on the device as bytes, and whole batches are cut,
resized and mirrored there.

Changing pictures one by one costs a good part of a narrow network's step on them. Whether a data
set is served so is a matter of data and recipe alone, never of the machine: the draws are others
than where each picture is changed on its own.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vertebra.contracts import Batch
from vertebra.cores import usable_cores
from vertebra.data.decode import MOST_UNREADABLE, BrokenImage, decoding_in_threads, unreadable
from vertebra.data.draws import uniforms
from vertebra.data.images import Split
from vertebra.data.order import Order
from vertebra.data.pixels import Pixels
from vertebra.data.sending import sent
from vertebra.data.views import Version
from vertebra.seeding import seed_of

MOST_BYTES = 512 * 2**20
"""Pixels of a larger data set are read picture by picture."""

MOST_PX = 64
"""No side of a picture or of a version of it is longer: products with matrices take a time that
grows with the third power of the side, and from here on longer than torch's kernel for one picture
on the same core."""

_CHUNK = 256


def is_resident(split: Split, versions: Sequence[Version]) -> bool:
    """Returns whether all pictures of the split are to lie on the device: they are known to be of
    one size, small and few, and every version of them can be made of whole batches."""
    if split.size is None:
        return False
    height, width = split.size
    size = len(split) * height * width * versions[0].preprocess.channels
    longest = max(height, width, *(each.preprocess.image_size for each in versions))
    takes = (each.augment.takes_batches(each.preprocess) for each in versions)
    return size <= MOST_BYTES and longest <= MOST_PX and all(takes)


@dataclass(frozen=True, eq=False)
class Resident:
    """Serves batches of a split whose pictures lie on a device.

    images:   [n, H, C, W] uint8, there; see `windows` for this order.
    readable: [n], whether it is a picture; the next one of the pass stands in for one that is not.
    broken:   why others could not be read, by name.
    """

    split: Split
    order: Order
    versions: Sequence[Version]
    images: Tensor
    readable: NDArray[np.bool_]
    broken: dict[str, str]

    @classmethod
    def read(
        cls, split: Split, order: Order, versions: Sequence[Version], device: torch.device
    ) -> "Resident":
        """Returns the split with all its pictures read and brought to the device.

        Raises:
            DataError: none can be read.
        """
        pixels, errors = _read(split, versions[0].preprocess.channels)
        broken = {each.name: each.reason for each in errors.values()}
        if len(errors) == len(split):
            raise unreadable(len(errors), broken)
        readable = np.ones(len(split), np.bool_)
        readable[[*errors]] = False
        images = torch.from_numpy(pixels).to(device)
        return cls(split, order, versions, images, readable, broken)

    def batch(self, number: int) -> Batch:
        """Returns batch `number`: images [N, C, S, S] float32 from 0 to 255 on the device, targets
        and index on the CPU.

        Raises:
            DataError: many files in a row cannot be read.
        """
        epochs, samples, skipped = self.order.places(number, self.readable)
        if skipped.max() >= MOST_UNREADABLE:
            raise unreadable(int(skipped.max()), self.broken)
        index = torch.from_numpy(samples)
        images = self.images.index_select(0, sent(index, self.images.device))
        first, *views = (self._version(each, images, epochs, samples) for each in self.versions)
        targets = torch.from_numpy(self.split.labels)[index]
        return Batch(first, targets, index, views=tuple(views))

    def _version(
        self,
        version: Version,
        images: Tensor,
        epochs: NDArray[np.int64],
        samples: NDArray[np.int64],
    ) -> Tensor:
        seed = seed_of(self.order.seed, "augment", *version.keys)
        draws = uniforms(seed, epochs, samples, count=version.augment.draws)
        return version.augment.sample_batch(images, draws, version.preprocess)


def _read(split: Split, channels: int) -> tuple[NDArray[np.uint8], dict[int, BrokenImage]]:
    """Returns all pictures [n, H, C, W], and what is wrong with those that cannot be read."""
    height, width = split.size or (0, 0)
    pixels = np.zeros((len(split), height, channels, width), np.uint8)
    chunks = [range(at, min(at + _CHUNK, len(split))) for at in range(0, len(split), _CHUNK)]
    broken: dict[int, BrokenImage] = {}
    with decoding_in_threads(), ThreadPoolExecutor(usable_cores()) as pool:
        for errors in pool.map(partial(_read_into, pixels, split), chunks):
            broken.update(errors)
    return pixels, broken


def _read_into(
    pixels: NDArray[np.uint8], split: Split, indices: Iterable[int]
) -> dict[int, BrokenImage]:
    broken: dict[int, BrokenImage] = {}
    for index in indices:
        try:
            pixels[index] = _picture(split, index, pixels.shape[2]).transpose(0, 2, 1)
        except BrokenImage as error:
            broken[index] = error
    return broken


def _picture(split: Split, index: int, channels: int) -> Pixels:
    """Returns the picture [H, W, C].

    Raises:
        BrokenImage: it cannot be read, or has another size than when it was looked at.
    """
    picture = split.pixels(index, channels)
    if picture.shape[:2] != split.size:
        height, width = picture.shape[:2]
        raise BrokenImage(split.name(index), f"it has become {width} x {height} pixels since")
    return picture
