"""The methods that have a name; imports no torch until one is used."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from vertebra.lookup import find

if TYPE_CHECKING:
    from vertebra.recipes.fit import Fitted
    from vertebra.recipes.recipe import Recipe
    from vertebra.recipes.ways.wishes import Wishes


class Way(NamedTuple):
    """A method, as `vertebra methods` lists it.

    module: beside this one; its `adapt` makes any recipe learn so.
    use:    when to.
    cost:   of a step, in those of plain supervised training.
    """

    module: str
    use: str
    cost: str
    source: str


METHODS: Mapping[str, Way] = {
    "supervised": Way(
        "supervised",
        "with labels: the default",
        "1",
        "Bag of Tricks for Image Classification (2019)",
    ),
}


def learn(recipe: "Recipe", method: str, wishes: "Wishes") -> "Fitted":
    """Returns the recipe made to learn by the named method, with a sentence for each change.

    Raises:
        NameLookupError: no such method; the message offers the nearest name.
        RecipeError: the recipe or what was given does not suit the method.
    """
    way = find(METHODS, method, kind="method")
    module = import_module(f"vertebra.recipes.ways.{way.module}")
    return module.adapt(recipe, wishes)
