"""What a confusion matrix says of each class, and how sure a share of n images is."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class ClassFigures(NamedTuple):
    """One class: `images` of it, `correct` of them found; a figure without images is None."""

    name: str
    images: int
    correct: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


class Confused(NamedTuple):
    """`images` of `target` were taken for `predicted`; `share` is of all images of `target`."""

    target: str
    predicted: str
    images: int
    share: float


class Interval(NamedTuple):
    """A range that holds the true share; both ends are in [0, 1]."""

    low: float
    high: float


def per_class(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[ClassFigures]:
    """Returns the figures of each class, in the order of `classes`.

    confusion: [K, K] counts; rows are true classes, columns predicted ones.
    """
    _check_square(confusion, classes)
    column_sums = [sum(column) for column in zip(*confusion, strict=True)]
    return [
        _figures(name, sum(row), row[place], column_sums[place])
        for place, (name, row) in enumerate(zip(classes, confusion, strict=True))
    ]


def most_confused(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], *, keep: int
) -> list[Confused]:
    """Returns the `keep` most frequent confusions of two classes, most frequent first."""
    _check_square(confusion, classes)
    pairs = [
        Confused(classes[target], classes[predicted], count, count / sum(row))
        for target, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if count and target != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair.images, -pair.share))[:keep]


def wilson(successes: int, n: int, z: float = 1.96) -> Interval:
    """Returns the score interval of a share; z=1.96 gives 95%.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference (1927).
    Unlike p ± z·sqrt(p(1-p)/n) it stays within [0, 1] and has a width at 0 and at n successes.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes={successes} of n={n}; give 0 <= successes <= n")
    if n == 0:
        return Interval(0.0, 1.0)
    share = successes / n
    shrink = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink
    # rounding may leave the end at 0 or n successes a hair outside of the share
    return Interval(min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def _figures(name: str, images: int, correct: int, predicted: int) -> ClassFigures:
    return ClassFigures(
        name,
        images,
        correct,
        predicted,
        precision=correct / predicted if predicted else None,
        recall=correct / images if images else None,
        f1=2 * correct / (images + predicted) if images + predicted else None,
    )


def _check_square(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    size = len(classes)
    if len(confusion) != size or any(len(row) != size for row in confusion):
        raise ValueError(
            f"confusion has {len(confusion)} rows for {size} classes; give {size} rows of {size}"
        )
