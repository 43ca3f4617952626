"""Divides a source so that what chooses a checkpoint and what is reported are different images.

The source has      trained on          chosen by            reported on
train, val, test    train               val                  test
train, val          train - minival     minival of train     val
train, test         train - minival     minival of train     test
train               the rest            minival of train     test, 20% of train

A minival is 2% of train or 500 images, whichever is more, but at most 10%; each class keeps its
share, and a class of two or more images is in it. Which images are cut off depends on the seed and
their names alone, not on the order of files, so that adding images moves few others.

Source: Revisiting ResNets: Improved Training and Scaling Strategies (2021), for the 2% held out.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertebra.data.images import Source, Split
from vertebra.errors import DataError

TEST_SHARE = 0.2
MINIVAL_SHARE, MINIVAL_FLOOR, MINIVAL_CAP = 0.02, 500, 0.1


@dataclass(frozen=True, eq=False)
class Splits:
    """Images to train on, to choose by and to report on; none is in two of them.

    report_name: what the reported split is called.
    note:        how it came about, one sentence for people.
    """

    train: Split
    minival: Split
    report: Split
    report_name: str
    note: str


def divide(source: Source, *, seed: int) -> Splits:
    """Returns the three splits; the same for the same names and seed, on every machine.

    Raises:
        DataError: too few images to hold any out.
    """
    given = source.splits
    train = given["train"]
    if "val" in given and "test" in given:
        return Splits(train, given["val"], given["test"], "test", "splits are the source's own")
    report_name = "val" if "val" in given else "test"
    note = f"{report_name} is the source's own"
    if report_name in given:
        report = given[report_name]
    else:
        count = round(TEST_SHARE * len(train))
        train, report = _cut(train, count, seed=seed, purpose="test")
        note = f"test is {len(report)} images cut off train, as the source has no other split"
    train, minival = _cut(train, _minival_size(len(train)), seed=seed, purpose="minival")
    note += f"; minival is {len(minival)} images cut off train"
    return Splits(train, minival, report, report_name, note)


def _minival_size(images: int) -> int:
    wanted = max(round(MINIVAL_SHARE * images), MINIVAL_FLOOR)
    return min(wanted, int(MINIVAL_CAP * images))


def _cut(split: Split, count: int, *, seed: int, purpose: str) -> tuple[Split, Split]:
    """Returns the rest and about `count` images that are cut off, each class its share."""
    sizes = np.bincount(split.labels, minlength=len(split.classes))
    shares = _shares(sizes, count)
    if not shares.any():
        raise DataError(
            f"{len(split)} images in {len(split.classes)} classes are too few to hold out a "
            f"{purpose} split; give at least two images of a class, or that split itself"
        )
    draws = np.array([lot(name, seed, purpose) for name in split.names], dtype=np.uint64)
    is_cut = np.zeros(len(split), dtype=bool)
    # one sort by class, then by draw: the first of each class are cut off
    order = np.lexsort((draws, split.labels))
    starts = np.cumsum(sizes) - sizes
    for start, share in zip(starts.tolist(), shares.tolist(), strict=True):
        is_cut[order[start : start + share]] = True
    return split.subset(np.flatnonzero(~is_cut)), split.subset(np.flatnonzero(is_cut))


def _shares(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Returns each class's part of `count`, by largest remainders; at least 1 of 2 or more."""
    exact = sizes * (count / sizes.sum())
    shares = np.floor(exact).astype(np.int64)
    for place in np.argsort(shares - exact, kind="stable")[: count - shares.sum()]:
        shares[place] += 1
    return np.clip(shares, np.minimum(1, sizes // 2), np.maximum(sizes - 1, 0))


def lot(name: str, seed: int, purpose: str) -> int:
    """Returns the image's draw, in [0, 2^64): the same on every machine, in any order of files."""
    key = f"{purpose}\0{seed}\0{name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
