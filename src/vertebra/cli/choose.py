"""From flags to a recipe: name, flags and settings, then the fit to the images where they leave
room."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from vertebra.cli.flags import RecipeFlags
from vertebra.data.sources import SHELF
from vertebra.duration import epochs
from vertebra.engine.distributed import World
from vertebra.models.shelf import find_spec, title
from vertebra.recipes.fit import fit, with_batch_size
from vertebra.recipes.materials import Materials
from vertebra.recipes.prepare import gather_all
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.shelf import RECIPES, load
from vertebra.recipes.vary import parse_setting, short_path, vary


class Chosen(NamedTuple):
    """A recipe, its images, what the fit changed, and what the model is called."""

    recipe: Recipe
    materials: tuple[Materials, ...]
    notes: tuple[str, ...]
    model: str


def choose(
    flags: RecipeFlags, *, world: World, on_progress: Callable[[int, int], None] | None = None
) -> Chosen:
    """Returns the recipe that the flags describe, with its images gathered.

    A recipe from a file is replayed as it stands; named ones are fitted to the images.

    Raises:
        VertebraError: a name, a value, the device or the images do not allow it.
    """
    name = flags.recipe or ("digits" if flags.data in (None, "digits") else "small")
    recipe = load(name)
    if flags.batch_size is not None:
        recipe = with_batch_size(recipe, flags.batch_size)
    changes = {**_typed(flags), **dict(map(parse_setting, flags.set))}
    recipe = vary(recipe, changes)
    recipe.check(processes=world.size)
    recipe.execution.resolve(local_rank=world.local_rank)  # refuse before reading every image
    materials = gather_all(recipe, download=flags.download, on_progress=on_progress)
    notes: tuple[str, ...] = ()
    if name in RECIPES:
        fixed = {short_path(recipe, path) for path in changes}
        if flags.batch_size is not None:
            fixed |= {"data.batch_size", "optimizer.lr"}
        recipe, notes = fit(recipe, materials[-1], fixed=fixed)
    return Chosen(recipe, materials, notes, title(recipe.model))


def _typed(flags: RecipeFlags) -> dict[str, Any]:
    """Returns the typed flags that were given as changes by path."""
    given = {
        "data.source": _place(flags.data),
        "length": None if flags.epochs is None else epochs(flags.epochs),
        "data.preprocess.image_size": flags.image_size,
        "optimizer.lr": flags.lr,
        "seed": flags.seed,
        "execution.device": flags.device,
        "execution.precision": flags.precision,
        "execution.workers": flags.workers,
        "execution.compile": True if flags.compile else None,
        "model": None if flags.model is None else find_spec(flags.model),
    }
    return {path: value for path, value in given.items() if value is not None}


def _place(data: str | None) -> str | None:
    """Returns a path from the root, so that the run finds its images from any folder."""
    return data if data is None or data in SHELF else str(Path(data).absolute())
