"""`vertebra recipes`."""

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List the recipes; `show NAME` prints one as JSON; `diff A B` lists where two differ.

    A name is one of the list, a recipe.json, or a run directory.
    """

    action: Annotated[Positional[Literal["list", "show", "diff"]], arg(metavar="ACTION")] = "list"
    """list, show or diff."""
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME")] = ()
    """One recipe to show, two to compare."""


def run(arguments: Arguments) -> int:
    """Prints."""
    wanted = {"list": 0, "show": 1, "diff": 2}[arguments.action]
    if len(arguments.names) != wanted:
        raise RecipeError(
            f"`vertebra recipes {arguments.action}` takes {wanted} names and got "
            f"{len(arguments.names)}; see `vertebra recipes --help`"
        )
    if arguments.action == "list":
        _list()
    elif arguments.action == "show":
        _show(arguments.names[0])
    else:
        _diff(*arguments.names)
    return 0


def _list() -> None:
    from rich.console import Console

    from vertebra.recipes.shelf import RECIPES
    from vertebra.report.terminal import names_table

    rows = [(name, entry.summary) for name, entry in RECIPES.items()]
    Console().print(names_table(("recipe", "when to use it"), rows))
    print("\nvertebra recipes show NAME prints all of one, with source and expected figure")


def _show(name: str) -> None:
    from vertebra.recipes.codec import to_data
    from vertebra.recipes.shelf import load

    print(json.dumps(to_data(load(name)), indent=2))


def _diff(left: str, right: str) -> None:
    from rich.console import Console

    from vertebra.recipes.shelf import load
    from vertebra.recipes.vary import differences
    from vertebra.report.terminal import compare_table

    found = differences(load(left), load(right))
    rows = [(path, *pair) for path, pair in found.items()]
    Console().print(compare_table(rows, left=left, right=right))
