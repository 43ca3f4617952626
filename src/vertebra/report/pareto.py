"""Which models nobody beats: the Pareto front of accuracy and a cost, and its figure.

accuracy                  o           o is on the front: nothing that costs as little
    |             o-------|           is as accurate; the rest is dominated by one that is.
    |        o----|   x
    |   o----|  x
    +--------------------- cost
"""

from collections.abc import Collection, Sequence
from html import escape
from itertools import cycle, product
from math import floor, log10

from vertebra.records import Json
from vertebra.report.measured import QUANTITIES, Measured, Quantity, column, known
from vertebra.report.quantities import percent, plain

_COLOURS = ("var(--blue)", "var(--orange)", "var(--green)", "var(--muted)")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up")
_HOVER = [name for name in QUANTITIES if not name.startswith(("macs_", "best_", "image_"))]
_PALE = 0.35
"""Opacity of what is dominated."""
_WIDE = 8
"""Times the smallest cost from which on the axis is logarithmic."""


def front(accuracies: Sequence[float], costs: Sequence[float]) -> list[int]:
    """Returns the places of the points that no other dominates, from the cheapest on.

    A point dominates another if it is as accurate and as cheap, and better in one of the two.
    """
    order = sorted(range(len(costs)), key=lambda place: (costs[place], -accuracies[place]))
    chosen: list[int] = []
    for place in order:
        point = (accuracies[place], costs[place])
        best = (accuracies[chosen[-1]], costs[chosen[-1]]) if chosen else None
        if best is None or point[0] > best[0] or point == best:
            chosen.append(place)
    return chosen


def against_cost(
    measured: Sequence[Measured], cost: str, *, accuracy: str = "top-1 accuracy, published"
) -> Json:
    """Returns a figure of accuracy against a cost, with the front; what is dominated is pale.

    accuracy: what stands at its axis.
    """
    drawn = [each for each in measured if each.top1 is not None and each.figure(cost) is not None]
    y = [each.top1 or 0.0 for each in drawn]
    quantity, x = _axis_of(drawn, cost)
    best = front(y, x)
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "front",
        "x": _rounded([x[place] for place in best]),
        "y": [y[place] for place in best],
        "line": {"shape": "hv", "color": "var(--faint)", "width": 2},
        "hoverinfo": "skip",
    }
    labels = [{"x": x[place], "y": y[place], "text": _name(drawn[place])} for place in best]
    axis = {"title": {"text": accuracy}, "tickformat": ".3~p"}
    return _figure([line, *_families(drawn, x, y, bright=best)], x, quantity, axis, labels)


def time_against(measured: Sequence[Measured], cost: str) -> Json:
    """Returns a figure of latency against a cost, for models of which no accuracy is known."""
    drawn = [
        each
        for each in measured
        if each.figure("latency_ms") is not None and each.figure(cost) is not None
    ]
    latency, y = _axis_of(drawn, "latency_ms")
    quantity, x = _axis_of(drawn, cost)
    axis = {"title": {"text": latency.label}, **scale(y)}
    return _figure(_families(drawn, x, y, bright=range(len(x))), x, quantity, axis, [])


def _axis_of(drawn: Sequence[Measured], name: str) -> tuple[Quantity, list[float]]:
    """Returns a quantity in the unit that suits the models, and their figures in it."""
    quantity = column(name, drawn)
    return quantity, [(each.figure(name) or 0.0) * quantity.factor for each in drawn]


def _figure(
    traces: list[Json], x: list[float], cost: Quantity, y_axis: Json, labels: list[Json]
) -> Json:
    return {
        "data": traces,
        "labels": labels,
        "layout": {
            "xaxis": {"title": {"text": cost.label}, **scale(x)},
            "yaxis": y_axis,
            "hovermode": "closest",
            "showlegend": True,
        },
        "height": 480,
    }


def scale(values: Sequence[float]) -> Json:
    """Returns a logarithmic axis where the values differ by much, else one from zero."""
    if values and min(values) > 0 and max(values) > _WIDE * min(values):
        first, last = (floor(log10(value)) for value in (min(values), max(values)))
        ticks = [step * 10.0**power for power in range(first, last + 1) for step in (1, 2, 5)]
        texts = [f"{tick:,g}" for tick in ticks]
        return {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": texts}
    return {"rangemode": "tozero"}


def _families(
    drawn: Sequence[Measured], x: Sequence[float], y: Sequence[float], *, bright: Collection[int]
) -> list[Json]:
    """Returns a trace of markers for each family; those that are not `bright` are pale."""
    looks = cycle((colour, symbol) for symbol, colour in product(_SYMBOLS, _COLOURS))
    traces: list[Json] = []
    for family, (colour, symbol) in zip(
        dict.fromkeys(each.family for each in drawn), looks, strict=False
    ):
        places = [place for place, each in enumerate(drawn) if each.family == family]
        opacities = [1.0 if place in bright else _PALE for place in places]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(plain(family), quote=False),
                "x": _rounded([x[place] for place in places]),
                "y": _rounded([y[place] for place in places]),
                "text": [_hover(drawn[place]) for place in places],
                "hoverinfo": "text",
                "marker": {"color": colour, "symbol": symbol, "size": 9, "opacity": opacities},
                **_whiskers([drawn[place] for place in places]),
            }
        )
    return traces


def _whiskers(drawn: Sequence[Measured]) -> dict[str, Json]:
    if all(each.half is None for each in drawn):
        return {}
    halves = [each.half or 0.0 for each in drawn]
    return {"error_y": {"type": "data", "array": _rounded(halves), "thickness": 1, "width": 3}}


def _hover(each: Measured) -> str:
    lines = [f"<b>{_name(each)}</b>"]
    if each.top1 is not None:
        half = "" if each.half is None else f" ± {100 * each.half:.2f}"
        lines.append(f"top-1 {percent(each.top1)}{half}, {escape(plain(each.origin), quote=False)}")
    for name in known([each], _HOVER):
        quantity = column(name, [each])
        lines.append(f"{quantity.title} {quantity.said(each.figure(name))} {quantity.unit}")
    return "<br>".join(lines)


def _name(each: Measured) -> str:
    """Returns name and image size, unless the name tells it; plotly's markup is escaped."""
    size = f" {each.image_size} px"
    name = escape(plain(each.name), quote=False)
    return name if size in f" {name}" else name + size


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
