"""`vertebra predict`."""

import csv
import io
import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import RecipeError
from vertebra.records import Json, RunDirectory, write_text

if TYPE_CHECKING:
    from vertebra.data.images import Split


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Classify images with a run: a row for every file, also for those that cannot be read.

    The exit code is 2 if a file could not be read; its row says why.
    """

    run: Annotated[Positional[Path], shown("RUN")]
    """The run directory."""
    images: Annotated[Positional[tuple[str, ...]], shown("IMAGE...")]
    """Files, and folders of files."""
    top: Annotated[int, shown("K")] = 1
    """How many classes a row names, the most probable first."""
    format: Annotated[Literal["csv", "json"] | None, shown()] = None
    """Default is the ending of --out, else csv."""
    out: Annotated[Path | None, shown("FILE")] = None
    """Write here instead of printing."""
    device: Annotated[str | None, shown("NAME")] = None
    """One of auto, cpu, cuda, cuda:1, mps; default is the run's own."""
    no_optimize: Annotated[bool, shown()] = False
    """Compute with the network as it was trained, not with its fast form, which is used from 256
    images on and first checked to give the same answers."""


def run(arguments: Arguments) -> int:
    """Predicts and prints; returns 2 where a file could not be read."""
    from vertebra.data.sources import loose
    from vertebra.report.quantities import number_of

    if arguments.top < 1:
        raise RecipeError(f"top={arguments.top}; give the number of classes to name, at least 1")
    RunDirectory(arguments.run).require()
    rows = _rows(arguments, loose(arguments.images))
    _write(arguments, rows)
    unread = sum("error" in row for row in rows)
    if arguments.out is not None:
        print(f"wrote {arguments.out}: {number_of(len(rows), 'file')}", file=sys.stderr)
    if unread:
        print(f"{unread} of {len(rows)} files could not be read; see their rows", file=sys.stderr)
    return 2 if unread else 0


def _rows(arguments: Arguments, split: "Split") -> list[dict[str, Json]]:
    """Returns a row for each file, in order: its name, and its classes or what is wrong with it."""
    from vertebra.cli.reading import reading
    from vertebra.data.survey import survey_loose
    from vertebra.export.answer import unread
    from vertebra.recipes.apply import predict
    from vertebra.recipes.deploy import load_run

    deployed = load_run(arguments.run, device=arguments.device, keeps_memory=False)
    deployed.require_classes()
    with reading() as listen:
        usable, refused = survey_loose(
            split, channels=deployed.preprocess.channels, on_progress=listen
        )
    rows: dict[str, dict[str, Json]] = {split.name(i): {} for i in range(len(split))}
    for each in refused:
        rows[each.name] = unread(each.name, each.reason)
    with reading("predicting") as listen:
        answers = predict(
            deployed,
            usable,
            top=arguments.top,
            optimize=not arguments.no_optimize,
            on_refusal=partial(print, file=sys.stderr),
        )
        for done, answer in enumerate(answers, start=1):
            rows[answer.name] = answer.row()
            listen(done, len(usable))
    return [*rows.values()]


def _write(arguments: Arguments, rows: list[dict[str, Json]]) -> None:
    ending = arguments.out.suffix if arguments.out is not None else ""
    form = arguments.format or ("json" if ending == ".json" else "csv")
    text = json.dumps(rows, indent=2) + "\n" if form == "json" else _csv(rows)
    if arguments.out is None:
        print(text, end="")
    else:
        write_text(arguments.out, text)


def _csv(rows: list[dict[str, Json]]) -> str:
    """Returns columns file, class, probability, class_2, probability_2, ..., error."""
    top = max(1, *(len(row.get("classes", ())) for row in rows))
    suffixes = ["", *(f"_{place}" for place in range(2, top + 1))]
    names = [f"{name}{suffix}" for suffix in suffixes for name in ("class", "probability")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", *names, "error"])
    for row in rows:
        cells = [cell for each in row.get("classes", ()) for cell in each.values()]
        cells += [""] * (len(names) - len(cells))
        writer.writerow([row["file"], *cells, row.get("error", "")])
    return text.getvalue()
