"""The recipes that have a name, and reading one from a file; imports no torch until one is
loaded."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vertebra.lookup import find
from vertebra.records import read_json

if TYPE_CHECKING:
    from vertebra.recipes.recipe import Recipe


class Entry(NamedTuple):
    """Where a recipe's function is, and when to use it."""

    module: str
    function: str
    summary: str


RECIPES: Mapping[str, Entry] = {
    "digits": Entry("digits", "digits", "the default without data: handwritten digits, 8x8"),
    "small": Entry("small", "small", "the default for your own images: a small ResNet-RS"),
    "baseline": Entry("bag_of_tricks", "baseline", "ResNet-50 as in the ResNet paper"),
    "bag-of-tricks": Entry("bag_of_tricks", "bag_of_tricks", "ResNet-50-D, stacked refinements"),
    "resnet-rs": Entry("resnet_rs", "resnet_rs", "ResNet-RS-50 at 160 px, 350 epochs"),
}


def load(name: str | Path) -> "Recipe":
    """Returns a named recipe, or the one in a recipe.json or a run directory.

    Raises:
        NameLookupError: no such name or file; the message offers the nearest name.
        CheckpointError: the file is no JSON.
        RecipeError: the file is no recipe; the message says where it departs from one.
    """
    path = Path(name)
    if path.is_dir() and (path / "recipe.json").is_file():
        path = path / "recipe.json"
    if path.is_file():
        return _read(path)
    entry = find(RECIPES, str(name), kind="recipe")
    return getattr(import_module(f"vertebra.recipes.{entry.module}"), entry.function)()


def _read(path: Path) -> "Recipe":
    from vertebra.recipes.codec import from_data
    from vertebra.recipes.recipe import Recipe

    return from_data(Recipe, read_json(path))
