"""The recipes that have a name, and reading one from a file; imports no torch until one is
loaded."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vertebra.errors import RecipeError
from vertebra.lookup import find

if TYPE_CHECKING:
    from vertebra.recipes.recipe import Recipe


class Entry(NamedTuple):
    """A function that returns a recipe, in a module beside this one, and what the recipe is.

    arguments: what the function is called with.
    has_data:  whether its images come along, so that it runs as it stands.
    """

    module: str
    function: str
    summary: str
    arguments: tuple[int, ...] = ()
    has_data: bool = False


RECIPES: Mapping[str, Entry] = {
    "digits": Entry(
        "digits", "digits", "the default without data: handwritten digits", has_data=True
    ),
    "small": Entry("small", "small", "the default for your own images: a small ResNet-RS"),
    "finetune": Entry("finetune", "finetune", "the default with --pretrained: gentle, short"),
    "baseline": Entry("bag_of_tricks", "baseline", "ResNet-50 as in the ResNet paper"),
    "bag-of-tricks": Entry("bag_of_tricks", "bag_of_tricks", "ResNet-50-D, refinements stacked"),
    "resnet-rs": Entry("resnet_rs", "resnet_rs", "ResNet-RS, the smallest: 50 layers at 160 px"),
    "resnet-rs-101-160": Entry("resnet_rs", "resnet_rs", "101 layers at 160 px", (101, 160)),
    "resnet-rs-101-192": Entry("resnet_rs", "resnet_rs", "101 layers at 192 px", (101, 192)),
    "resnet-rs-152-192": Entry("resnet_rs", "resnet_rs", "152 layers at 192 px", (152, 192)),
    "resnet-rs-152-224": Entry("resnet_rs", "resnet_rs", "152 layers at 224 px", (152, 224)),
    "resnet-rs-152-256": Entry("resnet_rs", "resnet_rs", "152 layers at 256 px", (152, 256)),
    "resnet-rs-200-256": Entry("resnet_rs", "resnet_rs", "200 layers at 256 px", (200, 256)),
    "resnet-rs-270-256": Entry("resnet_rs", "resnet_rs", "270 layers at 256 px", (270, 256)),
    "resnet-rs-350-256": Entry("resnet_rs", "resnet_rs", "350 layers at 256 px", (350, 256)),
    "resnet-rs-350-320": Entry("resnet_rs", "resnet_rs", "350 layers at 320 px", (350, 320)),
    "resnet-rs-420-320": Entry("resnet_rs", "resnet_rs", "420 layers at 320 px", (420, 320)),
}


def find_recipe(name: str | Path) -> Entry | Path:
    """Returns the entry of a named recipe, or the file of a stored one.

    Raises:
        NameLookupError: no such name or file; the message offers the nearest name.
    """
    path = Path(name)
    for file in (path, path / "recipe.json"):
        if file.is_file():
            return file
    return find(RECIPES, str(name), kind="recipe")


def load(name: str | Path) -> "Recipe":
    """Returns a named recipe, or the one in a recipe.json or a run directory.

    Raises:
        NameLookupError: no such name or file; the message offers the nearest name.
        RecipeError: the file is no recipe; the message says where it departs from one.
    """
    found = find_recipe(name)
    if isinstance(found, Path):
        return _read(found)
    module = import_module(f"vertebra.recipes.{found.module}")
    return getattr(module, found.function)(*found.arguments)


def _read(path: Path) -> "Recipe":
    from vertebra.recipes.codec import from_data
    from vertebra.recipes.recipe import Recipe

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{path} cannot be read as JSON ({error}); "
            f"give a recipe.json, a run directory, or a name that `vertebra recipes` lists"
        ) from error
    try:
        return from_data(Recipe, data)
    except RecipeError as error:
        raise RecipeError(f"{path} is no recipe: {error}") from error
