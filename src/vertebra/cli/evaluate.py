"""`vertebra evaluate`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from vertebra.errors import DataError

if TYPE_CHECKING:
    from vertebra.data.images import Split
    from vertebra.recipes.deploy import Deployed
    from vertebra.report.evaluation import Evaluation


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Judge a run's selected weights on its held-out split, or on other data with the same classes.

    Every image counts: an unreadable file stops the command unless --skip-unreadable is given.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run directory."""
    data: Annotated[Positional[str | None], arg(metavar="DATA")] = None
    """Other data; its classes are matched by name. Nothing means the run's own."""
    split: Literal["train", "minival", "val", "test"] | None = None
    """Which split; default is the reported one, of other data test, else val, else train."""
    device: Annotated[str | None, arg(metavar="NAME")] = None
    """auto, cpu, cuda, cuda:1 or mps."""
    skip_unreadable: bool = False
    """Leave out files that cannot be read, and list them."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write figures, confusion matrix and mistakes as JSON."""
    json: bool = False
    """Print the figures as JSON."""


def run(arguments: Arguments) -> int:
    """Evaluates and prints."""
    from vertebra.cli.reading import reading
    from vertebra.recipes.apply import evaluate_split
    from vertebra.recipes.deploy import load_run
    from vertebra.report.evaluation import write_evaluation

    deployed = load_run(arguments.run, device=arguments.device)
    name, split = _choose(arguments, deployed)
    done = 0
    with reading("evaluating") as listen:

        def on_batch(count: int) -> None:
            nonlocal done
            done += count
            listen(done, len(split))

        found = evaluate_split(deployed, split, name=name, on_batch=on_batch)
    if arguments.out is not None:
        write_evaluation(arguments.out, found)
    _print(found, as_json=arguments.json)
    return 0


def _choose(arguments: Arguments, deployed: "Deployed") -> "tuple[str, Split]":
    """Returns the split's name and its images."""
    from vertebra.data.sources import open_source
    from vertebra.data.split import divide
    from vertebra.data.survey import survey

    data = deployed.recipe.phases[-1].data
    source = open_source(arguments.data or data.source)
    found = survey(source, channels=deployed.preprocess.channels)
    if found.refused and not arguments.skip_unreadable:
        refused = [one for each in found.examinations.values() for one in each.refused]
        raise DataError(
            f"{len(refused)} files cannot be read, the first is {refused[0].name} "
            f"({refused[0].reason}); mend them, or leave them out with --skip-unreadable"
        )
    if found.refused:
        print(f"left out {found.refused} unreadable files; `vertebra check` lists them")
    if arguments.data is not None:
        splits = dict(found.usable.splits)
        default = next(name for name in ("test", "val", "train") if name in splits)
    else:
        divided = divide(found.usable, seed=deployed.recipe.seed)
        splits = {"train": divided.train, "minival": divided.minival}
        splits[divided.report_name] = divided.report
        default = divided.report_name
    name = arguments.split or default
    if name not in splits:
        raise DataError(f"there is no split {name!r} here; choose one of {', '.join(splits)}")
    return name, splits[name]


def _print(found: "Evaluation", *, as_json: bool) -> None:
    from vertebra.report.classes import wilson

    if as_json:
        figures = {"split": found.split, "n": found.n, **found.figures}
        print(json.dumps(figures, indent=2))
        return
    low, high = wilson(round(found.figures["top1"] * found.n), found.n)
    print(f"{found.split}: {found.n} images")
    print(f"top-1 {found.figures['top1']:.2%}, 95% interval {low:.2%} to {high:.2%}")
    print(f"top-5 {found.figures['top5']:.2%}   loss {found.figures['loss']:.4f}")
