"""`vertebra predict`."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vertebra.errors import DeviceError
from vertebra.records import Json


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Classify images with a run: a row for every file, also for those that cannot be read.

    The exit code is 2 if a file could not be read; its row says why.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run directory."""
    images: Annotated[Positional[tuple[str, ...]], arg(metavar="IMAGE")]
    """Files, and folders of files."""
    top: Annotated[int, arg(metavar="K")] = 1
    """How many classes a row names, the most probable first."""
    format: Literal["csv", "json"] | None = None
    """Default is the ending of --out, else csv."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write here instead of printing."""
    device: Annotated[str | None, arg(metavar="NAME")] = None
    """auto, cpu, cuda, cuda:1 or mps."""


def run(arguments: Arguments) -> int:
    """Predicts and prints; returns 2 where a file could not be read."""
    from vertebra.data.sources import loose

    split = loose(arguments.images)

    from vertebra.cli.reading import reading
    from vertebra.data.survey import survey_loose
    from vertebra.recipes.apply import predict
    from vertebra.recipes.deploy import load_run

    deployed = load_run(arguments.run, device=arguments.device)
    usable, refused = survey_loose(split, channels=deployed.preprocess.channels)
    rows: dict[str, dict[str, Json]] = {split.name(i): {} for i in range(len(split))}
    for each in refused:
        rows[each.name] = {"error": each.reason}
    with reading("predicting") as listen:
        for done, answer in enumerate(predict(deployed, usable, top=arguments.top), start=1):
            ranked = zip(answer.classes, answer.probabilities, strict=True)
            rows[answer.name] = {
                "classes": [
                    {"class": name, "probability": round(share, 6)} for name, share in ranked
                ]
            }
            listen(done, len(usable))
    _write(arguments, [{"file": name, **row} for name, row in rows.items()])
    return 2 if refused else 0


def _write(arguments: Arguments, rows: list[dict[str, Json]]) -> None:
    ending = arguments.out.suffix if arguments.out is not None else ""
    form = arguments.format or ("json" if ending == ".json" else "csv")
    text = json.dumps(rows, indent=2) + "\n" if form == "json" else _csv(rows, arguments.top)
    if arguments.out is None:
        print(text, end="")
        return
    try:
        arguments.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeviceError(
            f"cannot write {arguments.out}: {error.strerror}; choose another --out"
        ) from error


def _csv(rows: list[dict[str, Json]], top: int) -> str:
    """Returns columns file, class, probability, class_2, probability_2, ..., error."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    suffixes = ["", *(f"_{place}" for place in range(2, top + 1))]
    names = [f"{name}{suffix}" for suffix in suffixes for name in ("class", "probability")]
    writer.writerow(["file", *names, "error"])
    for row in rows:
        cells = [cell for each in row.get("classes", []) for cell in each.values()]
        cells += [""] * (len(names) - len(cells))
        writer.writerow([row["file"], *cells, row.get("error", "")])
    return text.getvalue()
