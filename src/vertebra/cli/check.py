"""`vertebra check`."""

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown

if TYPE_CHECKING:
    from vertebra.data.survey import Survey


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Read every image of a data set; list what cannot be used and why.

    Use it on new data before training. Also names files whose very content stands in two splits.
    The exit code is 2 if a file was refused, so that a script can stop.
    """

    data: Annotated[Positional[str], shown("DATA")]
    """A folder, an archive, a manifest, or digits, cifar10, cifar100."""
    channels: Annotated[Literal[1, 3, 4], shown()] = 3
    """What images are read as: 1 grey, 3 colour, 4 colour with alpha."""
    download: Annotated[bool, shown()] = False
    """Allow cifar10 or cifar100 to be downloaded when it is not on this machine."""
    json: Annotated[bool, shown()] = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Checks and prints; returns 2 where something was refused."""
    from vertebra.cli.reading import reading
    from vertebra.data.sources import open_source
    from vertebra.data.survey import survey

    source = open_source(arguments.data, download=arguments.download)
    with reading() as on_progress:
        found = survey(
            source,
            channels=arguments.channels,
            full=True,
            keeps=False,
            on_progress=on_progress,
        )
    if arguments.json:
        pairs = [list(each) for each in found.twins]
        said = {"classes": source.classes, "splits": found.account(), "in_two_splits": pairs}
        print(json.dumps(said, indent=2))
    else:
        _print(found, arguments.data)
    return 2 if found.refused else 0


def _print(found: "Survey", data: str) -> None:
    """Prints the splits, the images of each class, every refused file, and the twins."""
    from vertebra.report.terminal import found_table, names_table, next_commands, open_console

    console = open_console()
    source = found.usable
    table = found_table(
        found.account(), classes=source.classes, notes=source.notes, most_refused=found.refused
    )
    console.print(table)
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
    if found.twins:
        console.print("\nthe same content in two splits:")
        for first, second in found.twins:
            console.print(f"  {first}  {second}", markup=False)
    console.print()
    console.print(next_commands(shlex.join(["vertebra", "plan", data])))
