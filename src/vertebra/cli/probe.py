"""`vertebra probe`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import RecipeError

if TYPE_CHECKING:
    from vertebra.data.survey import Survey
    from vertebra.recipes.few_labels import FewLabels, Outcome
    from vertebra.recipes.probe import Protocols, Subject


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Say what a pretrained backbone's features are worth on images with classes.

    The backbone stays as it is: its features are taken once, and judged by the classes of the
    nearest training images and by a linear map, on the split that is reported. Beside them stand
    the same figures of fresh weights. Seconds to minutes; no augmentation. With --fractions the
    network is also fine-tuned on that share of the labels, and trained from scratch on the same
    images: each is a run, and takes as long.
    """

    subject: Annotated[Positional[str], shown("RUN|MODEL")]
    """A run directory, whatever it learnt from, or a named model with published weights."""
    data: Annotated[Positional[str], shown("DATA")]
    """Images with classes, as for `vertebra train`."""
    neighbours: Annotated[int | None, shown("N")] = None
    """Judge by so many nearest training images. Without this and --linear: by 20, and both."""
    linear: Annotated[bool, shown()] = False
    """Judge by a linear map, whose rate is chosen on the minival."""
    fractions: Annotated[tuple[float, ...], shown("SHARE...")] = ()
    """Shares of the labels to fine-tune on and to train from scratch on, as 0.01 0.1."""
    seeds: Annotated[int, shown("N")] = 3
    """Draws of the labels for each share."""
    out: Annotated[Path | None, shown("FOLDER")] = None
    """Where the runs of --fractions go; the same folder again goes on with what is missing. Default
    is the next free one of runs/NAME-probe-1, runs/NAME-probe-2, ..."""
    weights: Annotated[str, shown("TAG|FILE")] = "default"
    """Which weights of a named model, see `vertebra models --pretrained`."""
    download: Annotated[bool, shown()] = False
    """Let published weights be fetched when they are not on this machine."""
    device: Annotated[str | None, shown("NAME")] = None
    """One of auto, cpu, cuda, cuda:1, mps; default is the run's own."""
    precision: Annotated[Literal["fp32", "bf16"] | None, shown()] = None
    """Of the runs of --fractions, all alike; default is bf16 where the first is faster in it."""
    json: Annotated[bool, shown()] = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Probes and prints."""
    from vertebra.cli.probed import Findings, show
    from vertebra.cli.reading import reading
    from vertebra.data.sources import SHELF, require_path
    from vertebra.recipes.materials import gather
    from vertebra.recipes.probe import images_for, untrained, worth

    if arguments.data not in SHELF:
        require_path(arguments.data)
    protocols, few = _protocols(arguments), _few_labels(arguments)
    source = arguments.data
    if source not in SHELF:  # from the root, so that a run finds its images from any folder
        source = str(Path(source).absolute())
    subject = _subject(arguments, source)
    with reading() as on_progress:
        data = images_for(subject, source)
        materials = gather(data, seed=subject.seed, on_progress=on_progress)
    splits = materials.splits
    total = 2 * sum(map(len, (splits.train, splits.minival, splits.report)))
    with reading("looking at images") as listen:
        done = 0

        def on_images(count: int) -> None:
            nonlocal done
            done += count
            listen(done, total)

        worths = [
            worth(name, deployed, splits, protocols, on_images=on_images)
            for name, deployed in (
                (subject.name, subject.deployed),
                ("fresh weights", untrained(subject)),
            )
        ]
    outcomes = _fine_tuned(arguments, few, subject, materials.survey, source) if few else []
    show(Findings(materials.splits, protocols, worths, outcomes), as_json=arguments.json)
    return 0


def _protocols(arguments: Arguments) -> "Protocols":
    """Returns those that were asked for, both where none was."""
    from vertebra.recipes.probe import Protocols
    from vertebra.tasks.linear_probe import LinearProbe
    from vertebra.tasks.neighbours import Neighbours

    count = arguments.neighbours
    if count is None and not arguments.linear:
        return Protocols(neighbours=Neighbours(), linear=LinearProbe())
    return Protocols(
        neighbours=None if count is None else Neighbours(count=count),
        linear=LinearProbe() if arguments.linear else None,
    )


def _few_labels(arguments: Arguments) -> "FewLabels | None":
    from vertebra.recipes.few_labels import FewLabels

    if arguments.fractions:
        return FewLabels(fractions=arguments.fractions, seeds=arguments.seeds)
    for flag, value in (("out", arguments.out), ("precision", arguments.precision)):
        if value is not None:
            raise RecipeError(f"--{flag} is for the runs of --fractions; give some, as 0.01 0.1")
    return None


def _subject(arguments: Arguments, source: str) -> "Subject":
    from vertebra.cli.subjects import Wanted
    from vertebra.models.shelf import find_entry
    from vertebra.recipes.probe import model_subject, run_subject

    name, default = arguments.subject, Arguments.weights
    if Wanted(name).is_run:
        if arguments.weights != default:
            raise RecipeError(f"{name} is a run, which has weights of its own; leave out --weights")
        return run_subject(Path(name), device=arguments.device)
    find_entry(name)
    return model_subject(
        name,
        source,
        weights=arguments.weights,
        device=arguments.device,
        download=arguments.download,
    )


def _fine_tuned(
    arguments: Arguments, few: "FewLabels", subject: "Subject", found: "Survey", source: str
) -> "list[Outcome]":
    from vertebra.recipes.few_labels import attempt, in_one_precision, plan
    from vertebra.records import RunDirectory

    out = arguments.out or RunDirectory.next(f"{Path(source).name.split('.')[0]}-probe").path
    outcomes: list[Outcome] = []
    planned = plan(few, subject, found, source)
    trials, notes = in_one_precision(planned, out, precision=arguments.precision)
    for note in notes:
        print(f"fitted  {note}; the same for all", file=sys.stderr)
    for outcome in attempt(trials, out, view=None):
        outcomes.append(outcome)
        print(f"{outcome.directory}: top-1 accuracy {outcome.top1:.2%}", file=sys.stderr)
    return outcomes
