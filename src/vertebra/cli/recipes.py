"""`vertebra recipes`."""

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List the recipes; `show NAME` prints one as JSON; `diff A B` lists where two differ.

    A name is one of the list, a recipe.json, or a run directory: `diff RUN small` says what a run
    did otherwise than the recipe it came from.
    """

    action: Annotated[Positional[Literal["list", "show", "diff"]], shown("[ACTION]")] = "list"
    """One of list, show, diff."""
    names: Annotated[Positional[tuple[str, ...]], shown("[NAME...]")] = ()
    """One recipe to show, two to compare."""


def run(arguments: Arguments) -> int:
    """Prints."""
    from vertebra.recipes.shelf import find_recipe

    wanted = {"list": 0, "show": 1, "diff": 2}[arguments.action]
    if len(arguments.names) != wanted:
        names = " A B"[: 2 * wanted]
        raise RecipeError(
            f"`vertebra recipes {arguments.action}` got {len(arguments.names)} names; "
            f"write `vertebra recipes {arguments.action}{names}`"
        )
    for name in arguments.names:
        find_recipe(name)  # before torch is imported
    if arguments.action == "list":
        _list()
    elif arguments.action == "show":
        _show(arguments.names[0])
    else:
        _diff(*arguments.names)
    return 0


def _list() -> None:
    from vertebra.recipes.shelf import RECIPES
    from vertebra.report.terminal import names_table, open_console

    rows = [(name, entry.summary) for name, entry in RECIPES.items()]
    open_console().print(names_table(("recipe", "what it is"), rows))
    print("\nvertebra recipes show NAME prints all of one, with source and expected figure")
    print("vertebra train FOLDER --recipe NAME trains with it, fitted to your images")


def _show(name: str) -> None:
    from vertebra.recipes.codec import to_data
    from vertebra.recipes.shelf import load

    print(json.dumps(to_data(load(name)), indent=2))


def _diff(left: str, right: str) -> None:
    from vertebra.recipes.shelf import load
    from vertebra.recipes.vary import differences
    from vertebra.report.terminal import compare_table, open_console

    found = differences(load(left), load(right))
    rows = [(path, *pair) for path, pair in found.items()]
    open_console().print(compare_table(rows, left=left, right=right))
