"""The figures of a scaling study: error against a cost, a colour for each length of training.

error |o   x
      | o--.  x        o: a row; the step line is the front: nothing that costs as little errs
      |    o---o   x   less. Dotted: the power law through all rows of that length.
      +--------------- cost
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from math import ceil, floor, log10

from vertebra.records import Json
from vertebra.report.pareto import front
from vertebra.report.quantities import amount, percent, plain
from vertebra.studies.scale_fits import Cost, Point, laws

COLOURS = ("var(--blue)", "var(--orange)", "var(--green)", "var(--muted)")
HEIGHT_PX = 420
TITLES: Mapping[Cost, str] = {
    "macs": "multiply-adds of an image",
    "latency_ms": "latency of an image, ms",
}
_WIDE, _NARROW = 2, 0.7
"""Powers of ten above which an axis has a tick at each; below the second it has ten a power."""


def error_against(by_length: Mapping[float, Sequence[Point]], cost: Cost) -> Json:
    """Returns the figure in plotly's JSON; cells without this cost, or without an error, are left
    out."""
    traces: list[Json] = []
    x: list[float] = []
    y: list[float] = []
    for (epochs, cells), colour in zip(by_length.items(), cycle(COLOURS), strict=False):
        drawn = [cell for cell in cells if cell.cost(cost) and cell.error > 0]
        if drawn:
            traces += _length(drawn, cost, f"{epochs:g} epochs", colour)
            x += [_cost(cell, cost) for cell in drawn]
            y += [cell.error for cell in drawn]
    ticks_x, ticks_y = _ticks(x), _ticks(y)
    return {
        "data": traces,
        "layout": {
            "xaxis": {
                "title": {"text": TITLES[cost]},
                "type": "log",
                "tickmode": "array",
                "tickvals": ticks_x,
                "ticktext": [amount(tick) for tick in ticks_x],
            },
            "yaxis": {
                "title": {"text": "top-1 error"},
                "type": "log",
                "tickmode": "array",
                "tickvals": ticks_y,
                "ticktext": [f"{100 * tick:g}%" for tick in ticks_y],
            },
            "hovermode": "closest",
            "showlegend": True,
        },
        "height": HEIGHT_PX,
    }


def _length(cells: Sequence[Point], cost: Cost, name: str, colour: str) -> list[Json]:
    """Returns the traces of one length: front, law, rows."""
    x = [_cost(cell, cost) for cell in cells]
    best = front([-cell.error for cell in cells], x)
    line = {"type": "scatter", "mode": "lines", "showlegend": False, "hoverinfo": "skip"}
    steps = {
        **line,
        "x": [x[place] for place in best],
        "y": [cells[place].error for place in best],
        "line": {"shape": "hv", "color": colour, "width": 1.5},
    }
    rows = {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": x,
        "y": [cell.error for cell in cells],
        "text": [_hover(cell) for cell in cells],
        "hoverinfo": "text",
        "marker": {"color": colour, "size": 8},
    }
    whole = [law for law in laws(cells, cost) if law.part == "all"]
    ends = [min(x), max(x)]
    dotted = [
        {
            **line,
            "x": ends,
            "y": [law.error_at(end) for end in ends],
            "line": {"dash": "dot", "color": colour, "width": 1},
        }
        for law in whole
    ]
    return [steps, *dotted, rows]


def _cost(cell: Point, cost: Cost) -> float:
    return cell.cost(cost) or 0.0


def _ticks(values: Sequence[float]) -> list[float]:
    """Returns round numbers around the values, on a logarithmic axis."""
    if not values:
        return []
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    powers = log10(max(values) / min(values))
    steps = (1,) if powers > _WIDE else (1, 2, 5) if powers > _NARROW else (1, 1.5, *range(2, 10))
    return [float(f"{step}e{power}") for power in range(low, high + 1) for step in steps]


def _hover(cell: Point) -> str:
    half = "" if cell.accuracy.half is None else f" ± {100 * cell.accuracy.half:.2f}"
    latency = "" if cell.latency_ms is None else f", {cell.latency_ms:.3g} ms"
    return (
        f"<b>{escape(plain(cell.row.cell.name), quote=False)}</b><br>"
        f"top-1 {percent(cell.accuracy.mean)}{half}<br>{amount(cell.macs)} multiply-adds{latency}"
    )
