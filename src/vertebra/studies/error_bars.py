"""Series of means with whiskers, and lines without, as plotly draws them."""

from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple

from vertebra.records import Json
from vertebra.report.quantities import plain
from vertebra.studies.reading import written
from vertebra.studies.statistics import Interval

COLOURS = ("var(--blue)", "var(--orange)", "var(--green)", "var(--muted)")
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up")


class Series(NamedTuple):
    """Means that belong together.

    points: (x, mean with its interval), from left to right.
    look:   number of its colour; kind: number of its dashes and symbol.
    """

    name: str
    points: Sequence[tuple[float, Interval]]
    look: int = 0
    kind: int = 0


def error_bars(
    series: Series, *, mode: Literal["markers", "lines+markers"] = "lines+markers"
) -> Json:
    """Returns a trace: its means with 95% intervals as whiskers."""
    colour, means = COLOURS[series.look % len(COLOURS)], [mean for _, mean in series.points]
    return {
        "type": "scatter",
        "mode": mode,
        "name": safe(series.name),
        "x": [x for x, _ in series.points],
        "y": [mean.mean for mean in means],
        "error_y": {
            "type": "data",
            "array": [mean.half or 0.0 for mean in means],
            "color": colour,
            "thickness": 1.2,
        },
        "text": [f"<b>{safe(series.name)}</b><br>{_hover(mean)}" for mean in means],
        "hoverinfo": "text",
        "line": {"color": colour, "dash": DASHES[series.kind % len(DASHES)], "width": 2},
        "marker": {"color": colour, "symbol": SYMBOLS[series.kind % len(SYMBOLS)], "size": 8},
    }


def bare_line(series: Series, x: Sequence[float], y: Sequence[float]) -> Json:
    """Returns a trace: a thin line that belongs to the series."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "line": {
            "color": COLOURS[series.look % len(COLOURS)],
            "dash": DASHES[series.kind % len(DASHES)],
            "width": 1,
        },
        "showlegend": False,
        "hoverinfo": "skip",
    }


def safe(text: str) -> str:
    """Returns text that plotly takes for no markup."""
    return escape(plain(text), quote=False)


def _hover(mean: Interval) -> str:
    return f"{written(mean, 'share')}, n = {mean.n}"
