"""`vertebra methods`."""

import json
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from vertebra.cli.flags import shown


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List the ways to learn, or say of one when to use it, what it costs and where it is from.

    Any of them trains with `vertebra train --method NAME`.
    """

    name: Annotated[Positional[str | None], shown("[NAME]")] = None
    """One of them."""
    json: Annotated[bool, shown()] = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Prints."""
    from vertebra.lookup import find
    from vertebra.recipes.ways.shelf import METHODS
    from vertebra.report.terminal import facts_table, names_table, open_console

    names = [*METHODS]
    if arguments.name is not None:
        find(METHODS, arguments.name, kind="method")
        names = [arguments.name]
    rows = [
        {
            "method": name,
            "when to use it": METHODS[name].use,
            "a step costs": METHODS[name].cost,
            "source": METHODS[name].source,
        }
        for name in names
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif arguments.name is not None:
        open_console().print(facts_table(rows[0]))
    else:
        short = [[row["method"], row["when to use it"]] for row in rows]
        open_console().print(names_table(["method", "when to use it"], short))
    return 0
