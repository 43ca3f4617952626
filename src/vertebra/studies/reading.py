"""What a study found, before it has a form: tables, sentences and figures.

Each kind of study makes one of these from its results; the terminal, CSV, Markdown and the page are
made from it.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from vertebra.records import Json
from vertebra.report import quantities as say
from vertebra.report.quantities import NOTHING
from vertebra.studies.statistics import Interval

Style: TypeAlias = Literal["text", "share", "points", "ratio", "number", "seconds", "memory"]
"""How a value is written: a share as 45.52%, points as +3.10 (of a difference of shares), a ratio
as 1.83, a number with four digits; the last two with their unit."""

Value: TypeAlias = str | float | Interval | None


class Column(NamedTuple):
    """What stands over a column, and how its values are written."""

    head: str
    style: Style = "text"

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.style != "text"


class Table(NamedTuple):
    """A titled table; `note` says what its columns mean."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""

    def texts(self) -> list[list[str]]:
        """Returns the rows as they are read."""
        return [
            [written(value, column.style) for value, column in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]


class Figure(NamedTuple):
    """A plot in plotly's JSON, with colours as "var(--blue)", and what it shows."""

    title: str
    plot: Json
    note: str = ""


class Reading(NamedTuple):
    """What a study found.

    findings: sentences, the most important one first.
    """

    tables: tuple[Table, ...]
    findings: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()


def written(value: Value, style: Style) -> str:
    """Returns a value as it is read; an interval as "45.52% ± 1.00"."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, Interval):
        half = "" if value.half is None else f" ± {_half(value.half, style)}"
        return _number(value.mean, style) + half
    return _number(value, style)


def in_points(gain: Interval) -> str:
    """Returns a difference of shares as "+3.10 ± 1.84"."""
    return written(gain, "points")


def _number(value: float, style: Style) -> str:
    match style:
        case "share":
            return say.percent(value)
        case "points":
            return f"{100 * value:+.2f}"
        case "ratio":
            return f"{value:.2f}"
        case "seconds":
            return say.duration(value)
        case "memory":
            return say.memory(value)
        case _:
            return say.amount(value) if abs(value) >= 1000 else f"{value:.4g}"


def _half(value: float, style: Style) -> str:
    if style in ("share", "points"):
        return f"{100 * value:.2f}"
    return f"{value:.2f}" if style == "ratio" else f"{value:.3g}"


def csv_columns(table: Table) -> list[str]:
    """Returns the heads of a table as a spreadsheet has them: an interval takes two columns."""
    return [
        head for place, column in enumerate(table.columns) for head in _heads(table, place, column)
    ]


def csv_rows(table: Table) -> list[list[str | float]]:
    """Returns the values of a table as a spreadsheet has them: unrounded, shares in [0, 1]."""
    return [
        [
            plain
            for place, value in enumerate(row)
            for plain in _plain(value, has_half=_has_half(table, place))
        ]
        for row in table.rows
    ]


def _heads(table: Table, place: int, column: Column) -> Sequence[str]:
    return (column.head, f"{column.head} ±") if _has_half(table, place) else (column.head,)


def _has_half(table: Table, place: int) -> bool:
    return any(isinstance(row[place], Interval) for row in table.rows)


def _plain(value: Value, *, has_half: bool) -> list[str | float]:
    if isinstance(value, Interval):
        return [value.mean, "" if value.half is None else value.half]
    one: str | float = "" if value is None else value
    return [one, ""] if has_half else [one]
