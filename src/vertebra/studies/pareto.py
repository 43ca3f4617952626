"""Which of some records does nobody beat? Fronts of accuracy against every cost that they know.

What was found under different conditions is not drawn together: of each quantity the conditions of
the most points count, and the points of others are left out of its axis and told.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vertebra.report.measured import QUANTITIES, Quantity, column, known
from vertebra.report.pareto import front
from vertebra.report.quantities import number_of, percent
from vertebra.studies.point import Point
from vertebra.studies.reading import Column, Reading, Table, Value

COSTS = (
    "latency_ms",
    "image_ms",
    "macs",
    "parameters",
    "activations",
    "inference_memory_mb",
    "training_memory_mb",
    "peak_memory_mb",
    "train_seconds",
)
"""What accuracy can be drawn against."""

MANY = 6
"""Names in a sentence; more are counted."""


class Fronts(NamedTuple):
    """Points of one data set, and for each cost those that can be compared and the best of them.

    drawn:    by cost, the points under the same conditions.
    best:     by cost, those of them that no other dominates, from the cheapest on.
    left_out: sentences: what is drawn nowhere, or not against a cost.
    """

    points: tuple[Point, ...]
    drawn: Mapping[str, tuple[Point, ...]]
    best: Mapping[str, tuple[Point, ...]]
    left_out: tuple[str, ...]


def fronts(points: Sequence[Point]) -> Fronts:
    """Returns the front of the points against each cost that two or more of them know."""
    same_data, left_out = _comparable(points, "top1")
    drawn: dict[str, tuple[Point, ...]] = {}
    for cost in known([each.measured for each in same_data], COSTS):
        alike, said = _comparable([each for each in same_data if each.figure(cost)], cost)
        if alike:
            drawn[cost] = tuple(alike)
        left_out += said
    best = {cost: _best(alike, cost) for cost, alike in drawn.items()}
    return Fronts(tuple(same_data), drawn, best, tuple(left_out))


def _comparable(points: Sequence[Point], name: str) -> tuple[list[Point], list[str]]:
    """Returns the points under the conditions that most of them have, and what of the others."""
    groups: dict[str, list[Point]] = {}
    for each in points:
        groups.setdefault(each.conditions.get(name, ""), []).append(each)
    if len(groups) < 2:
        return list(points), []
    kept = max(groups, key=lambda conditions: len(groups[conditions]))
    called = "accuracy" if name == "top1" else QUANTITIES[name].title
    return groups[kept], [
        f"Not drawn{'' if name == 'top1' else f' against {called}'}: {_named(group)}. Their "
        f"{called} is of {other or 'conditions unknown'}, the others' of {kept}."
        for other, group in groups.items()
        if other != kept
    ]


def _best(points: Sequence[Point], cost: str) -> tuple[Point, ...]:
    accuracies = [each.measured.top1 or 0.0 for each in points]
    places = front(accuracies, [each.figure(cost) or 0.0 for each in points])
    return tuple(points[place] for place in places)


def read_fronts(found: Fronts, left_out: Sequence[str] = ()) -> Reading:
    """Returns the points that are on a front, all the points, and what the fronts say.

    left_out: further sentences, of records that are no points.
    """
    return Reading((_front_table(found), _whole_table(found)), _findings(found, left_out))


def _front_table(found: Fronts) -> Table:
    best = [each for each in found.points if any(each in chosen for chosen in found.best.values())]
    quantities = {cost: column(cost, [each.measured for each in best]) for cost in found.drawn}
    columns = (
        Column("on a front"),
        Column("px", "number"),
        Column("top-1", "share"),
        *(Column(each.label, "number") for each in quantities.values()),
    )
    rows = tuple(
        (*_head(each), *(_starred(found, each, *known_as) for known_as in quantities.items()))
        for each in best
    )
    return Table("Fronts", columns, rows, "A star: nothing as cheap in this is as accurate.")


def _starred(found: Fronts, point: Point, cost: str, quantity: Quantity) -> Value:
    star = " *" if point in found.best[cost] else ""
    figure = quantity.said(point.figure(cost))
    return f"{figure}{star}" if point in found.drawn[cost] else None


def _whole_table(found: Fronts) -> Table:
    measured = [each.measured for each in found.points]
    quantities = {cost: column(cost, measured) for cost in known(measured, COSTS)}
    columns = (
        Column("record"),
        Column("accuracy of"),
        Column("on the front of"),
        Column("px", "number"),
        Column("top-1", "share"),
        *(Column(each.label, "number") for each in quantities.values()),
    )
    rows: list[tuple[Value, ...]] = []
    for each in found.points:
        name, *rest = _head(each)
        chosen = [QUANTITIES[cost].title for cost in found.best if each in found.best[cost]]
        figures = [(each.figure(cost), quantity) for cost, quantity in quantities.items()]
        values = [None if it is None else it * quantity.factor for it, quantity in figures]
        rows.append((name, each.measured.origin, ", ".join(chosen), *rest, *values))
    note = "Top-1 of several runs is their mean, ± half of its 95% interval."
    under = [f"{QUANTITIES[cost].title}: {said}." for cost, said in conditions_of(found).items()]
    return Table("All records", columns, tuple(rows), " ".join([note, *under]))


def _head(point: Point) -> tuple[Value, Value, Value]:
    return point.measured.name, point.measured.image_size, point.top1


def conditions_of(found: Fronts) -> dict[str, str]:
    """Returns under which conditions what is drawn was found, by cost."""
    return {
        cost: said
        for cost, drawn in found.drawn.items()
        if (said := drawn[0].conditions.get(cost, ""))
    }


def _findings(found: Fronts, left_out: Sequence[str]) -> tuple[str, ...]:
    said = [
        f"By {QUANTITIES[cost].title} {len(best)} of {len(found.drawn[cost])} are on the front: "
        f"{_named(best, with_accuracy=True)}."
        for cost, best in found.best.items()
    ]
    single = [each for each in found.points if each.runs == 1]
    if len(single) > 1:
        said.append(
            f"{number_of(len(single), 'record')} are of one run each, without an interval: their "
            f"order may be chance."
        )
    return (*said, *found.left_out, *(f"Left out: {each}" for each in left_out))


def _named(points: Sequence[Point], *, with_accuracy: bool = False) -> str:
    names = [
        f"{each.measured.name} ({percent(each.measured.top1)})"
        if with_accuracy
        else each.measured.name
        for each in points
    ]
    more = [f"{len(names) - MANY} more"] if len(names) > MANY else []
    return "; ".join([*names[:MANY], *more])
