"""The rows of a study of images as curves: accuracy over the number of images."""

from collections.abc import Sequence
from typing import NamedTuple

from vertebra.studies.log_line import LogLine, log_line
from vertebra.studies.results import Results, Row
from vertebra.studies.statistics import Interval, paired

TENFOLD = 10
"""Times as many images, of which a slope is told."""


class Curve(NamedTuple):
    """The rows of a network at a rate of wrong labels, from the fewest images to the most."""

    network: str
    rate: float
    rows: tuple[Row, ...]

    @property
    def line(self) -> LogLine | None:
        """Accuracy over the logarithm of images; None where too few sizes have finished."""
        return log_line({images_of(row): row.figures() for row in self.rows})

    @property
    def parameters(self) -> float:
        """Of the network; 0 as long as no run has finished."""
        return max(row.median(lambda record: record.parameters) or 0.0 for row in self.rows)

    def over(self, other: "Curve") -> list[Interval | None]:
        """Returns what it has over another at each number of images, paired by seed."""
        pairs = zip(self.rows, other.rows, strict=True)
        return [paired(ours.figures(), theirs.figures()) for ours, theirs in pairs]

    def steeper_than(self, other: "Curve") -> Interval | None:
        """Returns how much more it gains by ten times as many images, paired by seed."""
        ahead = log_line(
            {
                images_of(ours): difference(ours, theirs)
                for ours, theirs in zip(self.rows, other.rows, strict=True)
            }
        )
        return None if ahead is None else ahead.slope


def curves(results: Results) -> list[Curve]:
    """Returns the curves of a study, in the order of its cells."""
    found: dict[tuple[str, float], list[Row]] = {}
    for row in results.rows:
        found.setdefault((row.cell.place["network"], row.cell.place["rate"]), []).append(row)
    return [Curve(*key, tuple(sorted(rows, key=images_of))) for key, rows in found.items()]


def cleanest(curve: Curve, read: Sequence[Curve]) -> Curve:
    """Returns the curve of the same network with the fewest wrong labels."""
    return min((one for one in read if one.network == curve.network), key=lambda one: one.rate)


def images_of(row: Row) -> int:
    """Returns how many images the row learns from."""
    return row.cell.place["images"]


def difference(ours: Row, theirs: Row) -> dict[int, float]:
    """Returns ours minus theirs by seed, where both have a figure."""
    base = theirs.figures()
    return {seed: value - base[seed] for seed, value in ours.figures().items() if seed in base}
