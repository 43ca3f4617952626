"""Accuracy as a straight line over the logarithm of the number of images.

Source: Revisiting Unreasonable Effectiveness of Data in Deep Learning Era (2017), for the law.
"""

from collections.abc import Mapping
from math import log10
from statistics import fmean
from typing import NamedTuple

from vertebra.studies.statistics import Interval, interval, line


class LogLine(NamedTuple):
    """accuracy = intercept + slope * log10(images).

    slope: of ten times as many images. Its interval is the wider of two: that over the lines of the
           single seeds, which holds the chance of runs, and that of the line through the means,
           which holds how far the points are from any line. None with one seed.
    r2:    of the line through the means; miss: of a mean, by the line, at most.
    """

    intercept: float
    slope: Interval
    r2: float
    miss: float

    def at(self, images: float) -> float:
        """Returns what the line says for so many images; it may leave [0, 1]."""
        return self.intercept + self.slope.mean * log10(images)


def log_line(found: Mapping[int, Mapping[int, float]]) -> LogLine | None:
    """Returns the line through {images: {seed: accuracy}}; None for fewer than three sizes.

    Seeds that lack a size are left out where others lack none.
    """
    sizes = {images: dict(figures) for images, figures in found.items() if figures}
    whole = set[int].intersection(*(set(figures) for figures in sizes.values())) if sizes else set()
    if whole:
        sizes = {n: {seed: each[seed] for seed in whole} for n, each in sizes.items()}
    x = [log10(images) for images in sizes]
    means = [fmean(figures.values()) for figures in sizes.values()]
    through = line(x, means)
    if through is None:
        return None
    lines = [line(x, [figures[seed] for figures in sizes.values()]) for seed in sorted(whole)]
    over = interval([each.slope.mean for each in lines if each is not None])
    half = None
    if over is not None and over.half is not None:
        half = max(over.half, through.slope.half or 0.0)
    return LogLine(
        intercept=through.intercept,
        slope=Interval(through.slope.mean, half, len(whole)),
        r2=through.r2,
        miss=max(abs(y - through.at(each)) for each, y in zip(x, means, strict=True)),
    )
