"""What a scaling study's figures follow: planes over the doublings of cost, power laws.

Each cell counts once, with the mean over its seeds: how far the cells lie from the law is what the
intervals hold.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import log2
from statistics import fmean
from typing import Literal, NamedTuple, TypeAlias

from vertebra.studies.family import Doublings
from vertebra.studies.results import Results, Row
from vertebra.studies.statistics import Interval, Line, Plane, interval, line, paired, plane

AXES = Doublings._fields
Cost: TypeAlias = Literal["macs", "latency_ms"]
Part: TypeAlias = Literal["all", "smaller", "larger"]


class Point(NamedTuple):
    """A cell that has a figure.

    accuracy: mean top-1 over the seeds; latency_ms: None where it was not measured.
    """

    row: Row
    epochs: float
    width: float
    depth: float
    image_size: int
    doublings: Doublings
    macs: float
    latency_ms: float | None
    accuracy: Interval

    @property
    def error(self) -> float:
        """Share of images that are wrong."""
        return 1 - self.accuracy.mean

    def cost(self, name: Cost) -> float | None:
        """Returns a cost by its name."""
        return self.macs if name == "macs" else self.latency_ms


def points(
    results: Results, of: Callable[[Row], Mapping[int, float]] = Row.figures
) -> dict[float, list[Point]]:
    """Returns the cells that have a figure, by length of training, the shortest first."""
    found: dict[float, list[Point]] = {}
    for row in results.rows:
        accuracy = interval([*of(row).values()])
        if accuracy is not None:
            place = row.cell.place
            point = Point(
                row,
                place["epochs"],
                place["width"],
                place["depth"],
                place["image_size"],
                Doublings(*place["doublings"]),
                place["macs"],
                place["latency_ms"],
                accuracy,
            )
            found.setdefault(point.epochs, []).append(point)
    return dict(sorted(found.items()))


def most_accurate(rows: Sequence[Row]) -> Row | None:
    """Returns the row that is best on the images that choose; None if no run has finished."""
    rated = [row for row in rows if row.selection()]
    return max(rated, key=lambda row: fmean(row.selection().values()), default=None)


class Gains(NamedTuple):
    """What a doubling of the MACs gives in accuracy, through each axis that varies."""

    axes: tuple[str, ...]
    plane: Plane

    def through(self, axis: str) -> Interval | None:
        """Returns the gain through an axis; None for one that does not vary."""
        return self.plane.slopes[self.axes.index(axis)] if axis in self.axes else None

    @property
    def depth_minus_width(self) -> Interval | None:
        """What depth gives more than width; None unless both vary."""
        if not {"depth", "width"} <= {*self.axes}:
            return None
        return self.plane.difference(self.axes.index("depth"), self.axes.index("width"))


def gains(cells: Sequence[Point]) -> Gains | None:
    """Returns the plane through cells of one length; None for too few."""
    axes = [
        place for place in range(len(AXES)) if len({cell.doublings[place] for cell in cells}) > 1
    ]
    given = [[cell.doublings[place] for place in axes] for cell in cells]
    found = plane(given, [cell.accuracy.mean for cell in cells]) if axes else None
    return None if found is None else Gains(tuple(AXES[place] for place in axes), found)


class SizeStep(NamedTuple):
    """From one image size to the next: accuracy gained for each doubling of MACs, by network."""

    smaller: int
    larger: int
    by_network: Mapping[int, float]

    @property
    def gain(self) -> Interval | None:
        """The mean over the networks; None where no network has both sizes."""
        return interval([*self.by_network.values()])


def size_steps(cells: Sequence[Point]) -> list[SizeStep]:
    """Returns the steps of image size among cells of one length, the smallest first."""
    networks = {key: number for number, key in enumerate({(c.width, c.depth): 0 for c in cells})}
    known = {(networks[c.width, c.depth], c.image_size): c for c in cells}
    sides = sorted({cell.image_size for cell in cells})
    steps: list[SizeStep] = []
    for smaller, larger in pairwise(sides):
        pairs = {
            number: (known[number, smaller], known[number, larger])
            for number in networks.values()
            if (number, smaller) in known and (number, larger) in known
        }
        gained = {
            number: (after.accuracy.mean - before.accuracy.mean) / log2(after.macs / before.macs)
            for number, (before, after) in pairs.items()
        }
        steps.append(SizeStep(smaller, larger, gained))
    return steps


def slackening(steps: Sequence[SizeStep]) -> Interval | None:
    """Returns the gain of the last step minus that of the first, over the same networks; below zero
    the return of larger images diminishes. None for fewer than two steps."""
    return paired(steps[-1].by_network, steps[0].by_network) if len(steps) > 1 else None


class Law(NamedTuple):
    """error = 2^intercept * cost^exponent over some cells.

    part: "all", or the "smaller" or the "larger" half by cost.
    """

    cost: Cost
    part: Part
    line: Line

    @property
    def exponent(self) -> Interval:
        """Below zero: the error falls."""
        return self.line.slope

    def error_at(self, cost: float) -> float:
        """Returns the error."""
        return 2 ** self.line.at(log2(cost))


def laws(cells: Sequence[Point], cost: Cost) -> list[Law]:
    """Returns the power laws through all cells of one length and through their halves; those for
    which there are too few cells are left out, and cells without an error or a cost are too."""
    known = [
        (log2(value), log2(cell.error))
        for cell in cells
        if (value := cell.cost(cost)) and cell.error > 0
    ]
    known.sort()
    half = -(-len(known) // 2)
    parts: dict[Part, list[tuple[float, float]]] = {
        "all": known,
        "smaller": known[:half],
        "larger": known[half:],
    }
    found: list[Law] = []
    for part, some in parts.items():
        fitted = line([x for x, _ in some], [y for _, y in some])
        if fitted is not None:
            found.append(Law(cost, part, fitted))
    return found
