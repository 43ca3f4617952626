"""Recipes that differ: change one by path, and list the differences of two."""

import dataclasses
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
    "AdamW", "lr": 0.001}) or the name of a kind with its defaults ("AdamW"), to which changes
    inside it are added. All changes are made before the result is checked; their order is of no
    importance.

    Raises:
        RecipeError: an unknown path (the nearest is offered) or a value that does not fit.
    """
    full = {full_path(recipe, path): value for path, value in changes.items()}
    data = to_data(recipe)
    for path, value in sorted(_gather_kinds(full).items()):  # a part before what is inside it
        _put(data, path.split("."), to_data(value), recipe)
    try:
        return from_data(Recipe, data)
    except RecipeError as error:
        raise RecipeError(_without_phase(recipe, str(error))) from error


def full_path(recipe: Recipe, path: str) -> str:
    """Returns the path from the recipe's root: "optimizer.lr" -> "phases.0.optimizer.lr"."""
    first = path.split(".")[0]
    is_root = first in ("kind", *(field.name for field in dataclasses.fields(recipe)))
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


def _without_phase(recipe: Recipe, message: str) -> str:
    if len(recipe.phases) > 1:
        return message
    return message.replace("phases.0.", "").removeprefix("phases.0: ")


def _gather_kinds(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the changes with {"optimizer": "AdamW", "optimizer.lr": 0.1} made one."""
    gathered = dict(changes)
    for path, value in changes.items():
        inner = {each for each in changes if each.startswith(f"{path}.")}
        if inner and isinstance(value, str):
            fields = {each.removeprefix(f"{path}."): gathered.pop(each) for each in sorted(inner)}
            gathered[path] = {"kind": value, **fields}
    return gathered


def _put(data: Json, keys: list[str], value: Json, recipe: Recipe) -> None:
    path = short_path(recipe, ".".join(keys))
    for place, key in enumerate(keys):
        if isinstance(data, list) and key.isdigit() and int(key) < len(cast(list[Json], data)):
            index: Any = int(key)
        elif isinstance(data, dict) and key in data:
            index = key
        elif isinstance(data, dict):
            raise RecipeError(f"unknown key {path!r}; {_nearest(recipe, keys, place, data)}")
        else:
            above = short_path(recipe, ".".join(keys[:place]))
            raise RecipeError(f"{path!r} leads into {above}={data!r}; set {above} as a whole")
        if place == len(keys) - 1:
            data[index] = value
        else:
            data = data[index]


def _nearest(recipe: Recipe, keys: list[str], place: int, beside: dict[str, Json]) -> str:
    """Returns a hint: a path that ends in the same key, else the nearest key at that place."""
    same = [path for path in leaves(recipe) if path.split(".")[-1] == keys[-1]]
    if same:
        return f"did you mean {' or '.join(map(repr, same))}?"
    known = [each for each in beside if each != "kind"]
    if short_path(recipe, ".".join(keys)) == ".".join(keys[place:]):  # it may be one of the root
        known += [field.name for field in dataclasses.fields(recipe)]
    return suggest(keys[place], known)


def _flatten(data: Json, path: str, flat: dict[str, Json]) -> None:
    if isinstance(data, dict) and data:
        for key, item in cast(dict[str, Json], data).items():
            _flatten(item, f"{path}.{key}" if path else key, flat)
    elif isinstance(data, list) and any(isinstance(item, dict) for item in cast(list[Json], data)):
        for place, item in enumerate(cast(list[Json], data)):
            _flatten(item, f"{path}.{place}", flat)
    else:
        flat[path] = data
