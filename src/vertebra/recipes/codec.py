"""Recipes as plain data and back: one schema, the dataclasses, for Python, JSON and the command
line.

A dataclass becomes a dict of its fields that starts with "kind", the name of its class; reading may
leave "kind" out where only one class is possible. A `Duration` is its text. Reading is strict: an
unknown key, a missing one or a wrong type is an error that names the path and what was expected.
"""

import dataclasses
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from vertebra.duration import Duration
from vertebra.errors import RecipeError
from vertebra.lookup import suggest
from vertebra.records import Json


def to_data(value: object) -> Json:
    """Returns a recipe, or a part of one, as dicts, lists, strings, numbers, booleans and None."""
    if isinstance(value, Duration):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {
            "kind": type(value).__name__,
            **{name: to_data(item) for name, item in fields.items()},
        }
    if isinstance(value, tuple | list):
        return [to_data(item) for item in cast(Sequence[object], value)]
    return value


def from_data(kind: Any, data: Json, *, path: str = "") -> Any:
    """Returns the value of type `kind` (a dataclass, a union, a tuple, ...) that `data` describes.

    Raises:
        RecipeError: the data do not fit; the message starts with `path`, dotted.
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _from_union(get_args(kind), data, path)
    if origin is Literal:
        if data in get_args(kind):
            return data
        raise RecipeError(f"{path}={data!r}; {suggest(str(data), map(str, get_args(kind)))}")
    if origin is tuple:
        return _from_list(get_args(kind), data, path)
    if kind is Duration:
        return Duration.parse(str(data))
    if dataclasses.is_dataclass(kind):
        return _from_dict(cast(type, kind), data, path)
    return _from_scalar(kind, data, path)


def _dataclasses_in(members: tuple[Any, ...]) -> dict[str, type]:
    parts = [cast(type, member) for member in members if dataclasses.is_dataclass(member)]
    return {part.__name__: part for part in parts if part is not Duration}


def _from_union(members: tuple[Any, ...], data: Json, path: str) -> Any:
    if data is None:
        if type(None) in members:
            return None
        raise RecipeError(f"{path} is null; a value is needed")
    kinds = _dataclasses_in(members)
    if kinds and isinstance(data, str):  # a bare name is that kind with its defaults
        data = {"kind": data}
    if kinds and isinstance(data, dict):
        values = dict(cast(dict[str, Json], data))
        default = next(iter(kinds)) if len(kinds) == 1 else None
        name = values.pop("kind", default)
        if not isinstance(name, str) or name not in kinds:
            raise RecipeError(f"{path}.kind is {name!r}; {suggest(str(name), kinds)}")
        return _from_dict(kinds[name], values, path)
    if kinds:
        raise RecipeError(f"{path}={data!r}; give one of {', '.join(kinds)} with its fields")
    for member in members:
        if member is not type(None):
            try:
                return from_data(member, data, path=path)
            except RecipeError as error:
                if len(members) == 1 + (type(None) in members):
                    raise error
    raise RecipeError(f"{path}={data!r}; expected {' or '.join(map(_name, members))}")


def _from_dict(kind: type, data: Json, path: str) -> Any:
    if not isinstance(data, dict):
        raise RecipeError(f"{path}={data!r}; expected the fields of {kind.__name__}")
    values = dict(cast(dict[str, Json], data))
    if values.get("kind") == kind.__name__:
        del values["kind"]
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise RecipeError(f"unknown key {_join(path, key)!r}; {suggest(key, fields)}")
    for name, field in fields.items():
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in values and not has_default:
            raise RecipeError(f"{_join(path, name)} is missing; it needs {_name(hints[name])}")
    made = {
        key: from_data(hints[key], value, path=_join(path, key)) for key, value in values.items()
    }
    try:
        return kind(**made)
    except RecipeError as error:
        prefix = f"{path}: " if path else ""
        raise RecipeError(prefix + str(error)) from error


def _from_list(members: tuple[Any, ...], data: Json, path: str) -> tuple[Any, ...]:
    if not isinstance(data, list | tuple):
        raise RecipeError(f"{path}={data!r}; expected a list")
    items = list(cast(Sequence[Json], data))
    if len(members) == 2 and members[1] is Ellipsis:
        members = (members[0],) * len(items)
    if len(items) != len(members):
        raise RecipeError(f"{path} has {len(items)} values; expected {len(members)}")
    return tuple(
        from_data(member, item, path=_join(path, str(place)))
        for place, (member, item) in enumerate(zip(members, items, strict=True))
    )


def _from_scalar(kind: Any, data: Json, path: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if type(data) is not kind:
        raise RecipeError(f"{path}={data!r} is {_name(type(data))}; expected {_name(kind)}")
    return data


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _name(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if kind is type(None):
        return "null"
    return names.get(kind, getattr(kind, "__name__", str(kind)))
