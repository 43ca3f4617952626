"""The figure of an additive table: each row's bar reaches from the mean of the row before to its
own.

    first    o
    + a      ====o--       o: the mean, with its interval; the bar is green where the gain is
    + b          ==o--     beyond chance, orange where a loss is.
            +--------------- accuracy
"""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

from vertebra.records import Json
from vertebra.report.quantities import number_of, percent
from vertebra.studies.error_bars import safe
from vertebra.studies.statistics import Interval

ROW_PX, LINE_PX, FRAME_PX = 34, 17, 90
LINE_LETTERS = 24


class Stair(NamedTuple):
    """A row: its mean over the seeds, and what it gained over the row before."""

    name: str
    figure: Interval | None
    gain: Interval | None


def staircase(stairs: Sequence[Stair]) -> Json:
    """Returns the figure in plotly's JSON; a row without a mean is left empty."""
    rows = range(len(stairs))
    shown = [place for place in rows if stairs[place].figure is not None]
    means = {place: figure.mean for place in shown if (figure := stairs[place].figure)}
    halves = [figure.half or 0.0 for place in shown if (figure := stairs[place].figure)]
    steps = [place for place in shown if place - 1 in means]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": steps,
        "base": [means[place - 1] for place in steps],
        "x": [means[place] - means[place - 1] for place in steps],
        "width": 0.55,
        "marker": {"color": [_colour(stairs[place].gain) for place in steps]},
        "hoverinfo": "skip",
    }
    dots = {
        "type": "scatter",
        "mode": "markers",
        "y": shown,
        "x": [means[place] for place in shown],
        "error_x": {"type": "data", "array": halves, "color": "var(--ink)", "thickness": 1.2},
        "marker": {"color": "var(--ink)", "size": 7},
        "text": [_hover(stairs[place]) for place in shown],
        "hoverinfo": "text",
    }
    names = [[safe(line) for line in wrap(stair.name, LINE_LETTERS)] for stair in stairs]
    row_px = max(ROW_PX, LINE_PX * max(map(len, names)))
    return {
        "data": [bars, dots],
        "layout": {
            "showlegend": False,
            "hovermode": "closest",
            "xaxis": {"title": {"text": "top-1 accuracy"}, "tickformat": ".3~p"},
            "yaxis": {
                "tickmode": "array",
                "tickvals": list(rows),
                "ticktext": ["<br>".join(lines) for lines in names],
                "range": [len(stairs) - 0.5, -0.5],
                "showgrid": False,
                "zeroline": False,
            },
        },
        "height": FRAME_PX + row_px * len(stairs),
    }


def _colour(gain: Interval | None) -> str:
    if gain is not None and gain.is_above_zero:
        return "var(--green)"
    return "var(--orange)" if gain is not None and gain.is_below_zero else "var(--faint)"


def _hover(stair: Stair) -> str:
    lines = [f"<b>{safe(stair.name)}</b>"]
    if stair.figure is not None:
        half = "" if stair.figure.half is None else f" ± {100 * stair.figure.half:.2f}"
        seeds = number_of(stair.figure.n, "seed")
        lines.append(f"{percent(stair.figure.mean)}{half}, {seeds}")
    if stair.gain is not None:
        half = "" if stair.gain.half is None else f" ± {100 * stair.gain.half:.2f}"
        lines.append(f"{100 * stair.gain.mean:+.2f}{half} over the row before")
    return "<br>".join(lines)
