"""`vertebra check`."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from vertebra.data.survey import Survey


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Read every image of a data set; list what cannot be used and why.

    Also names files whose very content stands in two splits. The exit code is 2 if a file was
    refused, so that a script can stop.
    """

    data: Annotated[Positional[str], arg(metavar="DATA")]
    """A folder, an archive, a manifest, or digits, cifar10, cifar100."""
    channels: Literal[1, 3, 4] = 3
    """1 grey, 3 colour, 4 colour with alpha."""
    json: bool = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Checks and prints; returns 2 where something was refused."""
    from vertebra.cli.reading import reading
    from vertebra.data.sources import open_source
    from vertebra.data.survey import survey

    source = open_source(arguments.data)
    with reading() as on_progress:
        found = survey(source, channels=arguments.channels, full=True, on_progress=on_progress)
    if arguments.json:
        pairs = [list(each) for each in found.twins]
        said = {"classes": source.classes, "splits": found.account(), "in_two_splits": pairs}
        print(json.dumps(said, indent=2))
    else:
        _print(found)
    return 2 if found.refused else 0


def _print(found: "Survey") -> None:
    """Prints the splits, the images of each class, every refused file, and the twins."""
    from rich.console import Console

    from vertebra.report.terminal import found_table, names_table

    console = Console()
    source = found.usable
    console.print(found_table(found.account(), classes=source.classes))
    counts = {
        name: [int((split.labels == place).sum()) for place in range(len(source.classes))]
        for name, split in source.splits.items()
    }
    rows = [
        (name, *(column[place] for column in counts.values()))
        for place, name in enumerate(source.classes)
    ]
    console.print()
    console.print(names_table(("class", *counts), rows, numbers=len(counts)))
    refused = [
        (split, one.name, one.reason)
        for split, each in found.examinations.items()
        for one in each.refused
    ]
    if refused:
        console.print()
        console.print(names_table(("refused in", "file", "reason"), refused))
    if found.twins:
        console.print()
        console.print(names_table(("same content in two splits", ""), found.twins))
    for note in source.notes:
        console.print(note, markup=False, soft_wrap=True)
