"""`vertebra evaluate`."""

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vertebra.data.images import Source, Split
    from vertebra.recipes.deploy import Deployed


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Judge a run's selected weights on its held-out split, or on other data with the same classes.

    Use it to see a run's figures again, or to try the model on images that came later. Every image
    counts: an unreadable file stops the command unless --skip-unreadable is given.
    """

    run: Annotated[Positional[Path], shown("RUN")]
    """The run directory."""
    data: Annotated[Positional[str | None], shown("[DATA]")] = None
    """Other data; its classes are matched by name. Nothing means the run's own."""
    split: Annotated[Literal["train", "minival", "val", "test"] | None, shown()] = None
    """Which split; default is the reported one, of other data test, else val, else train."""
    device: Annotated[str | None, shown("NAME")] = None
    """One of auto, cpu, cuda, cuda:1, mps; default is the run's own."""
    no_optimize: Annotated[bool, shown()] = False
    """Compute with the network as it was trained, not with its fast form, which is used from 256
    images on and first checked to give the same answers."""
    skip_unreadable: Annotated[bool, shown()] = False
    """Leave out files that cannot be read, and say how many."""
    out: Annotated[Path | None, shown("FILE")] = None
    """Write figures, confusion matrix and mistakes as JSON."""
    json: Annotated[bool, shown()] = False
    """Print the figures as JSON."""


def run(arguments: Arguments) -> int:
    """Evaluates and prints."""
    from vertebra.data.sources import SHELF, require_path
    from vertebra.records import RunDirectory

    RunDirectory(arguments.run).require()
    if arguments.data is not None and arguments.data not in SHELF:
        require_path(arguments.data)

    from vertebra.cli.reading import reading
    from vertebra.recipes.apply import evaluate_split
    from vertebra.recipes.deploy import load_run
    from vertebra.report.evaluation import write_evaluation
    from vertebra.report.terminal import figures_table, open_console

    deployed = load_run(arguments.run, device=arguments.device, keeps_memory=False)
    deployed.require_classes()
    name, split = _choose(arguments, deployed)
    with reading("evaluating") as listen:
        done = 0

        def on_batch(count: int) -> None:
            nonlocal done
            done += count
            listen(done, len(split))

        found = evaluate_split(
            deployed,
            split,
            name=name,
            optimize=not arguments.no_optimize,
            on_refusal=partial(print, file=sys.stderr),
            on_batch=on_batch,
        )
    if arguments.json:
        print(json.dumps({"split": name, "n": found.n, **found.figures}, indent=2))
    else:
        open_console().print(figures_table(name, found.figures, images=found.n))
    if arguments.out is not None:
        write_evaluation(arguments.out, found)
        print(f"wrote {arguments.out}", file=sys.stderr)
    return 0


def _choose(arguments: Arguments, deployed: "Deployed") -> "tuple[str, Split]":
    """Returns the split's name and its images: of the run's own data, or of other data."""
    from vertebra.data.sources import open_source
    from vertebra.data.split import divide

    if arguments.data is not None:
        source = open_source(arguments.data)
        default = next(name for name in ("test", "val", "train") if name in source.splits)
        name = _known(arguments.split or default, source.splits)
        source = _readable(source.replace({name: source.splits[name]}), arguments, deployed)
        return name, source.splits[name]
    data = deployed.recipe.phases[-1].data
    source = _readable(open_source(data.source), arguments, deployed)
    divided = divide(source, seed=data.held_out_by(deployed.recipe.seed))
    splits = {
        "train": divided.train,
        "minival": divided.minival,
        divided.report_name: divided.report,
    }
    name = _known(arguments.split or divided.report_name, splits)
    return name, splits[name]


def _known(name: str, splits: "Mapping[str, Split]") -> str:
    if name not in splits:
        raise DataError(f"there is no split {name!r} here; choose one of {', '.join(splits)}")
    return name


def _readable(source: "Source", arguments: Arguments, deployed: "Deployed") -> "Source":
    """Returns the source without the files that cannot be read, if they may be left out."""
    from vertebra.cli.reading import reading
    from vertebra.data.survey import survey
    from vertebra.report.quantities import number_of

    with reading() as on_progress:
        found = survey(source, channels=deployed.preprocess.channels, on_progress=on_progress)
    refused = [one for each in found.examinations.values() for one in each.refused]
    if refused and not arguments.skip_unreadable:
        raise DataError(
            f"{number_of(len(refused), 'file')} cannot be read, the first is {refused[0].name} "
            f"({refused[0].reason}); mend them, or leave them out with --skip-unreadable"
        )
    if refused:
        left_out = number_of(len(refused), "file")
        print(f"left out {left_out}; `vertebra check` lists them", file=sys.stderr)
    return found.usable
