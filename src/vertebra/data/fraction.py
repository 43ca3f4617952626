"""Fewer images to learn from: an even share of each class, or a long tail of classes.

Which images are kept depends on the seed and their names alone. Of one seed, a smaller share is a
part of every larger one.

Source: Class-Balanced Loss Based on Effective Number of Samples (2019), section 5.1, for the
exponential tail.
"""

import numpy as np
from numpy.typing import NDArray

from vertebra.data.images import Split
from vertebra.data.split import lot


def fraction(split: Split, share: float, *, seed: int) -> Split:
    """Returns `share`, in (0, 1], of the images of each class, rounded, but at least one."""
    sizes = np.bincount(split.labels, minlength=len(split.classes))
    return _kept(split, np.maximum(np.rint(share * sizes), 1), seed=seed)


def long_tail(split: Split, ratio: float, *, seed: int) -> Split:
    """Returns ever fewer images of each class in turn: class c of K keeps ratio^(-c / (K - 1)).

    ratio: of the first class's share to the last one's, 1 or more.
    """
    sizes = np.bincount(split.labels, minlength=len(split.classes))
    shares = float(ratio) ** -np.linspace(0, 1, len(sizes))
    return _kept(split, np.maximum(np.rint(shares * sizes), 1), seed=seed)


def _kept(split: Split, counts: NDArray[np.float64], *, seed: int) -> Split:
    """Returns the first `counts` [K] images of each class by their draws, in the split's order."""
    draws = np.array([lot(name, seed, "fraction") for name in split.names], dtype=np.uint64)
    order = np.lexsort((draws, split.labels))  # by class, then by draw
    sizes = np.bincount(split.labels, minlength=len(counts))
    starts = np.cumsum(sizes) - sizes
    labels = split.labels[order]
    places = np.arange(len(split)) - starts[labels]  # of each image in its class
    return split.subset(np.sort(order[places < counts[labels]]))
