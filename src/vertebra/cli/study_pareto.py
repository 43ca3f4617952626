"""`vertebra study pareto`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import CheckpointError, RecipeError

if TYPE_CHECKING:
    from vertebra.studies.point import Point


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Say which of some records nobody beats: accuracy against latency, multiply-adds, parameters,
    memory, time in training.

    Trains nothing. Records are run directories, study directories (a point a row, the mean of its
    runs) and results of `vertebra bench --json` or --csv, of which models have the accuracy that
    their papers publish; mixed as you like.
    """

    records: Annotated[Positional[tuple[Path, ...]], shown("RECORD...")] = ()
    """Runs, studies, files of `vertebra bench`."""
    measure: Annotated[bool, shown()] = False
    """Time here what was trained and has no latency yet."""
    device: Annotated[str, shown("NAME")] = "auto"
    """For --measure: one of auto, cpu, cuda, cuda:1, mps."""
    out: Annotated[Path | None, shown("FOLDER")] = None
    """Where page and tables go; default is the next free one of studies/pareto-1, ..."""


def run(arguments: Arguments) -> int:
    """Draws the fronts; returns the exit code."""
    if not arguments.records:
        raise RecipeError("no record is named; write `vertebra study pareto runs/* studies/*`")
    place = _place(arguments.out)

    from vertebra.cli.studying import show_tables, typed
    from vertebra.records import write_text
    from vertebra.report.terminal import open_console
    from vertebra.studies.pareto import fronts, read_fronts
    from vertebra.studies.pareto_page import pareto_page
    from vertebra.studies.points import read_points
    from vertebra.studies.write import as_csv, markdown_parts

    points, left_out = read_points(arguments.records)
    if arguments.measure:
        points = _timed(points, arguments.device)
    found = fronts(points)
    reading = read_fronts(found, left_out)
    title = f"Which of {len(found.points)} records does nobody beat?"
    short = reading._replace(tables=reading.tables[:1])
    whole = reading._replace(tables=reading.tables[1:])
    page = pareto_page(found, reading, title=title, command=typed())
    write_text(place / "table.csv", as_csv(whole))
    parts = [*markdown_parts(title, reading), f"Made by\n\n    {typed()}"]
    write_text(place / "table.md", "\n\n".join(parts) + "\n")
    write_text(place / "report.html", page)
    console = open_console()
    show_tables(title, short, console)
    print(f"page: {place / 'report.html'}")
    return 0


def _timed(points: "list[Point]", device: str) -> "list[Point]":
    from vertebra.cli.reading import reading
    from vertebra.studies.points import with_latency

    with reading("measuring networks") as on_progress:
        return with_latency(points, device=device, on_progress=on_progress)


def _place(out: Path | None) -> Path:
    """Returns the folder to write; one that holds something else is refused.

    Raises:
        CheckpointError: it is a run or a study, or a file.
    """
    if out is None:
        number = 1
        while (path := Path("studies") / f"pareto-{number}").exists():
            number += 1
        return path
    if out.is_file() or any((out / name).exists() for name in ("study.json", "recipe.json")):
        raise CheckpointError(f"{out} holds something else; choose another folder")
    return out
