"""A published additive table as a file: where it begins, its steps, and what the paper prints.

    {"source": "paper and table", "scale": "network, data, length of the figures",
     "note": "what is left out or differs",
     "recipe": "a named recipe", "from": {changes that lead back to where the table begins},
     "begins": {"name": "...", "published": 0.79},
     "small": {changes for a laptop},
     "steps": [{"name": "...", "part": "training", "changes": {...},
                "small": {changes in their place}, "published": 0.793}, ...]}

Changes are by path, as `Step` takes them; note, small, part and published may be left out.
"""

import json
from typing import NamedTuple

from vertebra.errors import RecipeError
from vertebra.lookup import suggest
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import vary
from vertebra.records import Json
from vertebra.studies.shelf import find_ladder
from vertebra.studies.steps import Step

_KEYS = ("source", "scale", "note", "recipe", "from", "begins", "small", "steps")
_BEGINS_KEYS = ("name", "published")
_STEP_KEYS = ("name", "part", "changes", "small", "published")


class Ladder(NamedTuple):
    """A published additive table.

    scale: of the published figures; note: what is left out or differs.
    base:  where it begins; steps: in the published order.
    """

    source: str
    scale: str
    note: str
    base: Recipe
    begins: Step
    steps: tuple[Step, ...]


def load_ladder(name: str, *, is_small: bool) -> Ladder:
    """Returns a ladder by its name or from a file, made small or as it was published.

    Raises:
        NameLookupError: no such name or file.
        RecipeError: the file is no ladder.
    """
    text = find_ladder(name)
    try:
        return _ladder(json.loads(text), is_small=is_small)
    except KeyError as error:
        raise RecipeError(f"{name} is no ladder: it has no {error}; {_HELP}") from error
    except (RecipeError, ValueError) as error:
        raise RecipeError(f"{name} is no ladder: {error}; {_HELP}") from error
    except (TypeError, AttributeError) as error:
        raise RecipeError(f"{name} is no ladder ({error}); {_HELP}") from error


_HELP = "docs/studies/ablate.md has the form"


def _ladder(data: Json, *, is_small: bool) -> Ladder:
    _require_known(data, _KEYS)
    _require_known(data["begins"], _BEGINS_KEYS)
    base = vary(load(data["recipe"]), data["from"])
    if is_small:
        base = vary(base, data.get("small", {}))
    return Ladder(
        source=data["source"],
        scale=data["scale"],
        note=data.get("note", ""),
        base=base,
        begins=_step({"changes": {}, **data["begins"]}, is_small=is_small),
        steps=tuple(_step(each, is_small=is_small) for each in data["steps"]),
    )


def _step(data: Json, *, is_small: bool) -> Step:
    _require_known(data, _STEP_KEYS)
    published = data.get("published")
    if published is not None and not 0 <= published <= 1:
        raise RecipeError(f"published={published} of {data['name']!r}; give a share, as 0.79")
    smaller = data.get("small", {}) if is_small else {}
    return Step(data["name"], {**data["changes"], **smaller}, published, data.get("part", ""))


def _require_known(data: Json, known: tuple[str, ...]) -> None:
    for key in data:
        if key not in known:
            raise RecipeError(f"unknown key {key!r}; {suggest(key, known)}")
