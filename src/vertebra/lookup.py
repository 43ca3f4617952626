"""Finds a name on a shelf; a misspelt one gets an error that offers the nearest."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from vertebra.errors import NameLookupError

Value = TypeVar("Value")
_SHOWN = 12


def find(shelf: Mapping[str, Value], name: str, *, kind: str) -> Value:
    """Returns `shelf[name]`; `kind` ("model", "recipe", ...) is what the message calls it.

    Raises:
        NameLookupError: no such name; the message offers the nearest one, or lists a short shelf.
    """
    if name in shelf:
        return shelf[name]
    raise NameLookupError(f"unknown {kind} {name!r}; {suggest(name, shelf)}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns "did you mean 'x'?" for the nearest name in any case, or "choose one of x, y"."""
    names = {each.casefold(): each for each in sorted(known)}
    if not names:
        return "there is none to choose from"
    near = get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {names[near[0]]!r}?"
    shown = [*names.values()][:_SHOWN] + (["..."] if len(names) > _SHOWN else [])
    return f"choose one of {', '.join(shown)}"
