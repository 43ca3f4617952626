"""The confusion matrix as a figure in plotly's JSON: right answers in blue, wrong ones in orange.

Two colours, because a scale that shows 98% on the diagonal hides the 2% beside it, which is what
one looks for.
"""

from collections.abc import Callable, Sequence
from html import escape

from vertebra.records import Json
from vertebra.report.evaluation import Evaluation
from vertebra.report.quantities import plain

MOST_CLASSES = 200
_MOST_WITH_COUNTS = 20
_MOST_WITH_GAPS = 60
_LABEL_LENGTH = 16
_HOVER = "true %{y}<br>predicted %{x}<br>%{text} images, %{z:.1%} of the true class<extra></extra>"


def heatmap(evaluation: Evaluation) -> Json:
    """Returns the figure; a cell's shade is its share of the row, and an empty cell has none."""
    chosen = shown_classes(evaluation.confusion)
    names = [plain(evaluation.classes[place]) for place in chosen]
    counts = [[evaluation.confusion[row][column] for column in chosen] for row in chosen]
    totals = [sum(evaluation.confusion[row]) for row in chosen]
    right = _shares(counts, totals, keep=lambda row, column: row == column)
    wrong = _shares(
        counts, totals, keep=lambda row, column: row != column and counts[row][column] > 0
    )
    # of few mistakes, the largest must not look as bad as a class that is never right
    worst = max([0.02, *(share for row in wrong for share in row if share is not None)])
    return {
        "data": [
            _cells(right, counts, names, colour="blue", top=1.0),
            _cells(wrong, counts, names, colour="orange", top=worst),
        ],
        "layout": {
            "hovermode": "closest",
            "xaxis": _axis("predicted", names, [-0.5, len(names) - 0.5]),
            "yaxis": _axis("true", names, [len(names) - 0.5, -0.5]),
        },
        "square": True,
    }


def shown_classes(confusion: Sequence[Sequence[int]]) -> list[int]:
    """Returns the places of the drawn classes; of too many, those with the most mistakes."""
    mistakes = [sum(row) - row[place] for place, row in enumerate(confusion)]
    ranked = sorted(range(len(mistakes)), key=lambda place: -mistakes[place])
    return sorted(ranked[:MOST_CLASSES])


def _shares(
    counts: list[list[int]], totals: list[int], *, keep: Callable[[int, int], bool]
) -> list[list[float | None]]:
    """Returns each kept cell's share of its row; None elsewhere, and for a class without images."""
    return [
        [
            float(f"{count / total:.4g}") if total and keep(row, column) else None
            for column, count in enumerate(line)
        ]
        for row, (line, total) in enumerate(zip(counts, totals, strict=True))
    ]


def _cells(
    shares: list[list[float | None]],
    counts: list[list[int]],
    names: list[str],
    *,
    colour: str,
    top: float,
) -> Json:
    gap = 1 if len(names) <= _MOST_WITH_GAPS else 0
    categories = [escape(name, quote=False) for name in names]
    return {
        "type": "heatmap",
        "z": shares,
        "x": categories,
        "y": categories,
        "text": [
            ["" if share is None else count for count, share in zip(*rows, strict=True)]
            for rows in zip(counts, shares, strict=True)
        ],
        "zmin": 0,
        "zmax": top,
        "colorscale": [[0, f"var(--{colour}-pale)"], [1, f"var(--{colour})"]],
        "showscale": False,
        "hoverongaps": False,
        "xgap": gap,
        "ygap": gap,
        "texttemplate": "%{text}" if len(names) <= _MOST_WITH_COUNTS else "",
        "hovertemplate": _HOVER,
    }


def _axis(title: str, names: list[str], ends: list[float]) -> Json:
    """An axis of categories: "7" stays a name; the script thins the labels to the room."""
    return {
        "type": "category",
        "title": {"text": title},
        "range": ends,
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [escape(_short(name), quote=False) for name in names],
        "ticks": "",
        "showgrid": False,
    }


def _short(name: str) -> str:
    """Returns a long name without its middle: names of fine-grained classes often start alike."""
    return name if len(name) <= _LABEL_LENGTH else f"{name[:8]}…{name[-7:]}"
