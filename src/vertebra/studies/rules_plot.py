"""The figure of two rules: the accuracy of their members against a cost, a line for each."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from vertebra.records import Json
from vertebra.report.measured import QUANTITIES, Quantity
from vertebra.report.pareto import scale
from vertebra.report.quantities import percent, plain
from vertebra.studies.statistics import Interval

_COLOURS = ("var(--orange)", "var(--blue)", "var(--green)")


class Curve(NamedTuple):
    """A rule; of each member its name, cost and accuracy, from the cheapest on."""

    name: str
    points: tuple[tuple[str, float, Interval], ...]


def rules_plot(curves: Sequence[Curve], cost: str) -> Json:
    """Returns the figure in plotly's JSON; None where there is no point.

    cost: the name of a quantity, as in `QUANTITIES`.
    """
    costs = [x for curve in curves for _, x, _ in curve.points]
    if not costs:
        return None
    unit = QUANTITIES[cost].suited(costs)
    traces = [_trace(curve, unit, place) for place, curve in enumerate(curves)]
    return {
        "data": traces,
        "layout": {
            "showlegend": True,
            "hovermode": "closest",
            "xaxis": {"title": {"text": unit.label}, **scale([x * unit.factor for x in costs])},
            "yaxis": {"title": {"text": "top-1 accuracy"}, "tickformat": ".3~p"},
        },
        "height": 380,
    }


def _trace(curve: Curve, unit: Quantity, place: int) -> Json:
    colour = _COLOURS[place % len(_COLOURS)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(plain(curve.name), quote=False),
        "x": [x * unit.factor for _, x, _ in curve.points],
        "y": [figure.mean for *_, figure in curve.points],
        "error_y": {
            "type": "data",
            "array": [figure.half or 0.0 for *_, figure in curve.points],
            "thickness": 1.2,
            "color": colour,
        },
        "text": [_hover(*point, unit) for point in curve.points],
        "hoverinfo": "text",
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 8},
    }


def _hover(name: str, x: float, figure: Interval, unit: Quantity) -> str:
    half = "" if figure.half is None else f" ± {100 * figure.half:.2f}"
    return (
        f"<b>{escape(plain(name), quote=False)}</b><br>{percent(figure.mean)}{half}, "
        f"{figure.n} seeds<br>{unit.title} {unit.said(x)} {unit.unit}"
    )
