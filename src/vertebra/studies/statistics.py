"""Means with intervals, paired differences and straight lines, over a handful of seeds."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95

FEWEST = 3
"""So few values tell nothing from chance: two that happen to be equal would be beyond doubt."""


class Interval(NamedTuple):
    """A mean of `n` values and half the width of its 95% t-interval; None for one value."""

    mean: float
    half: float | None
    n: int

    @property
    def is_above_zero(self) -> bool:
        """Whether zero lies below the whole interval, of three values or more."""
        return self.half is not None and self.n >= FEWEST and self.mean - self.half > 0

    @property
    def is_below_zero(self) -> bool:
        """Whether zero lies above the whole interval, of three values or more."""
        return self.half is not None and self.n >= FEWEST and self.mean + self.half < 0


class Line(NamedTuple):
    """y = intercept + slope * x by least squares; the slope with its interval; r2 in [0, 1]."""

    intercept: float
    slope: Interval
    r2: float

    def at(self, x: float) -> float:
        """Returns y."""
        return self.intercept + self.slope.mean * x


def interval(values: Sequence[float]) -> Interval | None:
    """Returns the mean of the values with its interval; None for no values."""
    if not values:
        return None
    if len(values) == 1:
        return Interval(values[0], None, 1)
    half = quantile(len(values) - 1) * stdev(values) / len(values) ** 0.5
    return Interval(fmean(values), half, len(values))


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval | None:
    """Returns ours minus theirs over the seeds that both have."""
    return interval([ours[seed] - theirs[seed] for seed in ours if seed in theirs])


def line(x: Sequence[float], y: Sequence[float]) -> Line | None:
    """Returns the line through the points; None for fewer than three, or all at one x."""
    found = plane([[each] for each in x], y)
    return None if found is None else Line(found.intercept, found.slopes[0], found.r2)


class Plane(NamedTuple):
    """y = intercept + sum of slope * x by least squares, a slope for each column of x.

    covariance: of the slopes, [columns, columns].
    """

    intercept: float
    slopes: tuple[Interval, ...]
    covariance: tuple[tuple[float, ...], ...]
    r2: float
    n: int

    def difference(self, first: int, second: int) -> Interval:
        """Returns one slope minus another."""
        c = self.covariance
        variance = c[first][first] + c[second][second] - 2 * c[first][second]
        half = quantile(self.n - len(self.slopes) - 1) * max(variance, 0.0) ** 0.5
        return Interval(self.slopes[first].mean - self.slopes[second].mean, half, self.n)


def plane(x: Sequence[Sequence[float]], y: Sequence[float]) -> Plane | None:
    """Returns the plane through the points; None where they do not determine it, with an error.

    x: [points, columns]; y: [points].
    """
    given = np.asarray(x, dtype=float)
    if given.ndim != 2 or len(given) < given.shape[1] + 2:
        return None
    columns = np.column_stack([np.ones(len(given)), given])
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        return None
    values = np.asarray(y, dtype=float)
    solution, *_ = np.linalg.lstsq(columns, values, rcond=None)
    residual = float(((values - columns @ solution) ** 2).sum())
    total = float(((values - values.mean()) ** 2).sum())
    freedom = len(values) - columns.shape[1]
    covariance = residual / freedom * np.linalg.inv(columns.T @ columns)
    halves = quantile(freedom) * np.sqrt(np.diag(covariance))
    slopes = zip(solution[1:].tolist(), halves[1:].tolist(), strict=True)
    return Plane(
        intercept=float(solution[0]),
        slopes=tuple(Interval(mean, half, len(values)) for mean, half in slopes),
        covariance=tuple(tuple(row) for row in covariance[1:, 1:].tolist()),
        r2=1.0 if total == 0 else 1 - residual / total,
        n=len(values),
    )


def quantile(freedom: int) -> float:
    """Returns the quantile of Student's t for a two-sided interval."""
    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))
