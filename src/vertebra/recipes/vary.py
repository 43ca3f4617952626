"""Recipes that differ: change one by path, and list the differences of two."""

import json
from collections.abc import Mapping
from typing import Any, cast

from vertebra.errors import RecipeError
from vertebra.lookup import suggest
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.recipe import Recipe
from vertebra.records import Json


def vary(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Returns the recipe with the value at each dotted path replaced.

    A path may start at the recipe ("model.width", "phases.0.length") or, when there is one phase
    only, at that phase ("optimizer.lr"). A value is a part (`SGD(lr=0.1)`), plain data ({"kind":
    "AdamW", "lr": 0.001}) or the name of a kind with its defaults ("AdamW"). All changes are made
    before the result is checked.

    Raises:
        RecipeError: an unknown path (the nearest is offered) or a value that does not fit.
    """
    data = to_data(recipe)
    for path, value in changes.items():
        _put(data, full_path(recipe, path).split("."), to_data(value), path)
    return from_data(Recipe, data)


def full_path(recipe: Recipe, path: str) -> str:
    """Returns the path from the recipe's root: "optimizer.lr" -> "phases.0.optimizer.lr"."""
    first = path.split(".")[0]
    is_root = first in to_data(recipe)
    return path if is_root or len(recipe.phases) > 1 else f"phases.0.{path}"


def short_path(recipe: Recipe, path: str) -> str:
    """Returns the path as `leaves` has it: "phases.0.optimizer.lr" -> "optimizer.lr"."""
    return path if len(recipe.phases) > 1 else path.removeprefix("phases.0.")


def parse_setting(text: str) -> tuple[str, Json]:
    """Returns path and value of "path=value"; the value is read as JSON, else taken as text.

    Raises:
        RecipeError: there is no "=".
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise RecipeError(f"setting {text!r} has no value; write path=value, as optimizer.lr=0.1")
    try:
        return path.strip(), json.loads(value)
    except json.JSONDecodeError:
        return path.strip(), value


def differences(a: Recipe, b: Recipe) -> dict[str, tuple[Json, Json]]:
    """Returns every path at which two recipes differ with both values; None where one has no such
    path.

    The paths of the only phase start at that phase.
    """
    left, right = leaves(a), leaves(b)
    paths = list(dict.fromkeys([*left, *right]))
    pairs = {path: (left.get(path), right.get(path)) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def leaves(recipe: Recipe) -> dict[str, Json]:
    """Returns every value of a recipe by its dotted path, as `vary` takes them."""
    flat: dict[str, Json] = {}
    _flatten(to_data(recipe), "", flat)
    return {short_path(recipe, path): value for path, value in flat.items()}


def _put(data: Json, keys: list[str], value: Json, path: str) -> None:
    for place, key in enumerate(keys):
        is_last = place == len(keys) - 1
        if isinstance(data, list) and key.isdigit() and int(key) < len(cast(list[Json], data)):
            index: Any = int(key)
        elif isinstance(data, dict) and key in data:
            index = key
        elif isinstance(data, dict):
            raise RecipeError(f"unknown key {path!r}; {suggest(key, cast(dict[str, Json], data))}")
        else:
            above = ".".join(keys[:place])
            raise RecipeError(f"{path!r} leads into {above}={data!r}; set {above} as a whole")
        if is_last:
            data[index] = value
        else:
            data = data[index]


def _flatten(data: Json, path: str, flat: dict[str, Json]) -> None:
    if isinstance(data, dict) and data:
        for key, item in cast(dict[str, Json], data).items():
            _flatten(item, f"{path}.{key}" if path else key, flat)
    elif isinstance(data, list) and any(isinstance(item, dict) for item in cast(list[Json], data)):
        for place, item in enumerate(cast(list[Json], data)):
            _flatten(item, f"{path}.{place}", flat)
    else:
        flat[path] = data
