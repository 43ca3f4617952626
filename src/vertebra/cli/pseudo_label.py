"""`vertebra pseudo-label`."""

import csv
import io
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import DataError, RecipeError
from vertebra.records import Json, RunDirectory, write_text

if TYPE_CHECKING:
    from torch import Tensor

    from vertebra.data.examine import Refusal
    from vertebra.data.images import Split
    from vertebra.methods.pseudo_labels import Tally
    from vertebra.recipes.pool import Labeller

MOST_REFUSED = 20


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Label images with a run: a manifest of those that it is sure of, to be looked over or trained
    on with `vertebra train labels.csv`.

    Costs one pass over the images. To learn from labels and from these at once, as in Self-training
    with Noisy Student (2020), train with --method noisy-student. The exit code is 2 if a file could
    not be read; it is left out.
    """

    run: Annotated[Positional[Path], shown("RUN")]
    """The run directory."""
    folder: Annotated[Positional[Path], shown("FOLDER")]
    """A folder of images; folders in it may have any names."""
    out: Annotated[Path, shown("FILE")] = Path("labels.csv")
    """The manifest, .csv or .tsv. Paths of images below its folder are relative to that."""
    threshold: Annotated[float, shown("SHARE")] = 0.3
    """Leave out an image whose most probable class has less."""
    per_class: Annotated[int | None, shown("N")] = None
    """At most so many images of each class, those that the run is most sure of."""
    soft: Annotated[bool, shown()] = False
    """Write the probability of every class too, a column each."""
    overwrite: Annotated[bool, shown()] = False
    """Replace a manifest that is there."""
    device: Annotated[str | None, shown("NAME")] = None
    """One of auto, cpu, cuda, cuda:1, mps; default is the run's own."""
    json: Annotated[bool, shown()] = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Labels, writes and prints; returns 2 where a file could not be read."""
    _require(arguments)
    from vertebra.data.sources import loose
    from vertebra.methods.pseudo_labels import confident, most_confident, tally
    from vertebra.recipes.deploy import load_run
    from vertebra.recipes.pool import Labeller

    split = loose([arguments.folder])
    labeller = Labeller.of_run(load_run(arguments.run, device=arguments.device), str(arguments.run))
    if not labeller.classes:
        raise DataError(f"{arguments.run} learnt without classes; give a run that names some")
    usable, refused = _usable(split, labeller)
    found = _answers(labeller, usable)
    if arguments.per_class is None:
        rows = confident(found, arguments.threshold)
    else:
        rows = most_confident(found, threshold=arguments.threshold, per_class=arguments.per_class)
    if not len(rows):
        raise DataError(
            f"{arguments.run} is sure of none of {len(usable)} images to {arguments.threshold:g} "
            f"(at most to {found.max().item():.2f}); lower --threshold"
        )
    write_text(arguments.out, _manifest(arguments, usable, labeller, found, rows))
    _print(arguments, labeller, tally(found, rows), refused)
    return 2 if refused else 0


def _answers(labeller: "Labeller", split: "Split") -> "Tensor":
    """Returns the probabilities of each image, [n, K]; shows how far it is."""
    from vertebra.cli.reading import reading
    from vertebra.recipes.pool import probabilities

    with reading("labelling") as listen:
        done = 0

        def count(images: int) -> None:
            nonlocal done
            done += images
            listen(done, len(split))

        return probabilities(labeller, split, on_batch=count)


def _require(arguments: Arguments) -> None:
    """Looks at the arguments, before torch is imported."""
    if not 0 <= arguments.threshold <= 1:
        raise RecipeError(f"threshold={arguments.threshold}; give a probability, usually 0.3")
    if arguments.per_class is not None and arguments.per_class < 1:
        raise RecipeError(f"per_class={arguments.per_class}; give at least 1")
    if arguments.out.suffix.lower() not in (".csv", ".tsv"):
        raise RecipeError(f"{arguments.out} is no name of a manifest; end it in .csv or .tsv")
    if arguments.out.exists() and not arguments.overwrite:
        raise RecipeError(
            f"{arguments.out} is there already; choose another with --out, or add --overwrite"
        )
    RunDirectory(arguments.run).require()
    if not arguments.folder.is_dir():
        what = "is a file" if arguments.folder.exists() else "does not exist"
        raise DataError(f"{arguments.folder} {what}; give a folder of images")


def _usable(split: "Split", labeller: "Labeller") -> "tuple[Split, tuple[Refusal, ...]]":
    """Returns the images that can be read and whose names a manifest can hold, and the others.

    Raises:
        DataError: there are none.
    """
    from vertebra.cli.reading import reading
    from vertebra.data.examine import Refusal
    from vertebra.data.survey import survey_loose

    with reading() as listen:
        readable, refused = survey_loose(
            split, channels=labeller.preprocess.channels, on_progress=listen
        )
    is_named = [name.isprintable() and name == name.strip() for name in readable.names]
    unnamed = tuple(
        Refusal(name, "a manifest cannot hold its name")
        for name, is_so in zip(readable.names, is_named, strict=True)
        if not is_so
    )
    usable = readable.subset([place for place, is_so in enumerate(is_named) if is_so])
    refused += unnamed
    if not len(usable):
        name, reason = refused[0]
        raise DataError(f"none of {len(split)} files can be used; the first: {name}: {reason}")
    return usable, refused


def _manifest(
    arguments: Arguments, split: "Split", labeller: "Labeller", found: "Tensor", rows: "Tensor"
) -> str:
    """Returns columns path, label, confidence, and with --soft "probability of CLASS"."""
    text = io.StringIO(newline="")
    delimiter = "\t" if arguments.out.suffix.lower() == ".tsv" else ","
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    soft = [f"probability of {name}" for name in labeller.classes] if arguments.soft else []
    writer.writerow(["path", "label", "confidence", *soft])
    here = arguments.out.absolute().parent
    for row in rows.tolist():
        path = Path(split.name(row)).absolute()
        shares = [f"{share:.6f}" for share in found[row].tolist()]
        best = int(found[row].argmax())
        named = path.relative_to(here) if path.is_relative_to(here) else path
        writer.writerow(
            [named.as_posix(), labeller.classes[best], shares[best], *(shares if soft else [])]
        )
    return text.getvalue()


def _print(
    arguments: Arguments, labeller: "Labeller", counts: "Tally", refused: "tuple[Refusal, ...]"
) -> None:
    from vertebra.report.quantities import number_of
    from vertebra.report.terminal import names_table, next_commands, open_console

    rows: list[dict[str, Json]] = [
        {"class": name, "found": found, "kept": kept, "mean_confidence": round(confidence, 4)}
        for name, found, kept, confidence in zip(
            labeller.classes,
            counts.found.tolist(),
            counts.kept.tolist(),
            counts.confidence.tolist(),
            strict=True,
        )
    ]
    out = str(arguments.out)
    if arguments.json:
        unread = [each._asdict() for each in refused]
        print(json.dumps({"out": out, "classes": rows, "refused": unread}, indent=2))
        return
    for each in refused[:MOST_REFUSED]:
        print(f"refused: {each.name}: {each.reason}", file=sys.stderr)
    if len(refused) > MOST_REFUSED:
        print(f"and {len(refused) - MOST_REFUSED} more; --json names them", file=sys.stderr)
    console = open_console()
    header = ("class", "found", "kept", "mean confidence")
    cells = [
        (row["class"], row["found"], row["kept"], row["mean_confidence"] if row["kept"] else "-")
        for row in rows
    ]
    console.print(names_table(header, cells, numbers=3))
    kept, found = int(counts.kept.sum()), int(counts.found.sum())
    console.print(f"\nwrote {out}: {kept} of {number_of(found, 'image')}\n", markup=False)
    console.print(next_commands(shlex.join(["vertebra", "train", out])))
