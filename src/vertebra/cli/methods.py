"""`vertebra methods`."""

import json
from dataclasses import dataclass
from typing import Annotated

from vertebra.cli.flags import shown


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List the ways to learn: when to use which, what a step costs, which paper it is from.

    Any of them trains with `vertebra train --method NAME`.
    """

    json: Annotated[bool, shown()] = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Prints."""
    from vertebra.recipes.ways.shelf import METHODS
    from vertebra.report.terminal import names_table, open_console

    rows = [
        {"method": name, "use": way.use, "cost": way.cost, "source": way.source}
        for name, way in METHODS.items()
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    open_console().print(names_table(list(rows[0]), [list(row.values()) for row in rows]))
    return 0
