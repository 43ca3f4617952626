"""What changed over a run, as figures in plotly's JSON.

Colours are named as CSS variables, "var(--blue)"; the page's script puts in those of the light or
dark scheme.
"""

import itertools
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from vertebra.records import Json
from vertebra.report.findings import Findings, number
from vertebra.report.quantities import figure_name, is_share, plain

MOST_POINTS = 2000

_COLOURS = ("blue", "orange", "green")


class Panel(NamedTuple):
    """A figure and the heading above it."""

    title: str
    figure: Json


def curves(findings: Findings) -> dict[str, Panel]:
    """Returns panels by name; one without any points is left out."""
    steps, evaluations = findings.of_kind("step"), findings.of_kind("evaluate")
    loss = [*_smoothed(steps, "loss"), *_evaluated(evaluations, "loss", colour="var(--orange)")]
    accuracy = [*_accuracies(evaluations), *_chosen(evaluations, findings.best_step)]
    panels = {
        "loss": _panel("Loss", loss, {"rangemode": "normal"}),
        "accuracy": _panel("Accuracy", accuracy, _share_axis(accuracy)),
        "parts": _panel("What the method told", _parts(steps), {"rangemode": "normal"}),
        "spread": _panel(
            "Spread of the vectors", _evaluated(evaluations, "spread", colour="var(--blue)"), {}
        ),
        "lr": _panel("Learning rate", [_line(steps, "lr")], {}),
        "images_per_s": _panel("Images a second", _smoothed(steps, "images_per_s"), {}),
        "data_wait": _panel(
            "Share of the time spent waiting for data",
            _smoothed(steps, "data_wait"),
            {"tickformat": ".3~p"},
        ),
        "memory_mb": _panel("Memory, MB", [_line(steps, "memory_mb")], {"tickformat": ",.0f"}),
    }
    return {
        name: panel
        for name, panel in panels.items()
        if any(trace["x"] for trace in panel.figure["data"])
    }


def smooth(values: Sequence[float], *, window: float) -> list[float]:
    """Returns a running mean, unbiased at its start; weights fall by 1/e over `window` values."""
    keep = 1 - 1 / max(1.0, window)
    total = weight = 0.0
    means: list[float] = []
    for value in values:
        total = keep * total + value
        weight = keep * weight + 1
        means.append(total / weight)
    return means


def thin(length: int, most: int = MOST_POINTS) -> list[int]:
    """Returns at most `most` evenly spread places of a list, its first and last among them."""
    if length <= most:
        return list(range(length))
    return [round(place * (length - 1) / (most - 1)) for place in range(most)]


def _share_axis(traces: Iterable[Json]) -> Json:
    """Returns an axis of shares; where all are the same one, from 0 to 1."""
    values = {value for trace in traces for value in trace["y"]}
    span = {"range": [0, 1]} if len(values) == 1 else {"rangemode": "normal"}
    return {**span, "tickformat": ".4~p"}


def _panel(title: str, traces: list[Json], axis: Json) -> Panel:
    """`rangemode` "tozero" unless `axis` says otherwise: rates and shares are read against zero."""
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": {"rangemode": "tozero", **axis},
        "showlegend": sum(trace["showlegend"] for trace in traces) > 1,
    }
    return Panel(title, {"data": traces, "layout": layout})


def _smoothed(steps: list[Json], key: str) -> list[Json]:
    """Returns every value, faint, and their running mean."""
    known = [event for event in steps if number(event.get(key)) is not None]
    values = [float(event[key]) for event in known]
    means = smooth(values, window=len(values) / 50)
    raw = _curve("each step", known, values, colour="var(--faint)")
    raw |= {"hoverinfo": "skip", "hovertemplate": None, "showlegend": False}
    return [raw, _curve("train", known, means, colour="var(--blue)")]


def _line(steps: list[Json], key: str) -> Json:
    known = [event for event in steps if number(event.get(key)) is not None]
    return _curve(key, known, [float(event[key]) for event in known], colour="var(--blue)")


def _parts(steps: list[Json]) -> list[Json]:
    """Returns the running mean of each part, if there are several: one alone is the loss."""
    names = dict.fromkeys(name for event in steps for name in event.get("parts", ()))
    traces: list[Json] = []
    for name, colour in zip(names, itertools.cycle(_COLOURS), strict=False):
        told = [{**event, name: event.get("parts", {}).get(name)} for event in steps]
        traces.append({**_smoothed(told, name)[1], "name": escape(plain(name), quote=False)})
        traces[-1]["line"] = {"color": f"var(--{colour})", "width": 1.8}
    return traces if len(traces) > 1 else []


def _accuracies(evaluations: list[Json]) -> list[Json]:
    names = dict.fromkeys(name for event in evaluations for name in event["figures"])
    main = next((name for name in names if is_share(name)), None)
    return _evaluated(evaluations, main, colour="var(--blue)") if main else []


def _evaluated(evaluations: list[Json], name: str, *, colour: str) -> list[Json]:
    """Returns a curve of one figure for each split on which it was taken."""
    traces: list[Json] = []
    for place, split in enumerate(dict.fromkeys(str(event["split"]) for event in evaluations)):
        known = [
            event
            for event in evaluations
            if event["split"] == split and number(event["figures"].get(name)) is not None
        ]
        values = [float(event["figures"][name]) for event in known]
        shade = colour if place == 0 else "var(--green)"
        trace = _curve(f"{split} {figure_name(name)}", known, values, colour=shade)
        traces.append({**trace, "mode": "lines+markers", "marker": {"size": 4}})
    return traces


def _chosen(evaluations: list[Json], step: int | None) -> list[Json]:
    """Returns the mark at the step whose checkpoint was chosen."""
    for event in evaluations:
        share = next((name for name in event["figures"] if is_share(name)), None)
        value = None if share is None else number(event["figures"][share])
        if event["step"] == step and value is not None:
            trace = _curve("chosen checkpoint", [event], [value], colour="var(--orange)")
            marker = {"size": 11, "symbol": "circle-open", "line": {"width": 2.5}}
            return [{**trace, "mode": "markers", "marker": {**marker, "color": "var(--orange)"}}]
    return []


def _curve(
    name: str, events: Sequence[Json], values: Sequence[float], *, colour: str
) -> dict[str, Json]:
    places = thin(len(events))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escape(plain(name), quote=False),
        "showlegend": True,
        "x": _rounded(events[place]["epoch"] for place in places),
        "y": _rounded(values[place] for place in places),
        "customdata": [events[place]["step"] for place in places],
        "hovertemplate": "%{y:.4~g} at step %{customdata:,}",
        "line": {"color": colour, "width": 1.8},
    }


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
