"""The differences of two recipes as named steps, each of which leads to a recipe that can run."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from vertebra.duration import Duration
from vertebra.errors import RecipeError
from vertebra.lookup import suggest
from vertebra.recipes.codec import to_data
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import full_path, leaves, short_path, vary
from vertebra.records import Json

IGNORED = ("name", "source", "expects", "seed", "execution")
"""Differences that are not asked about."""

TOGETHER: Mapping[str, tuple[str, ...]] = {
    "batch size and rate": ("data.batch_size", "optimizer.lr"),
    "length and warm-up": ("length", "schedule.warmup"),
    "grey or colour": ("data.preprocess.channels", "data.preprocess.mean", "data.preprocess.std"),
}
"""Differences that make one step where both are there."""

_TIMES = re.compile(r"x(\d+(?:\.\d+)?)(?:/([1-9]\d*))?", re.ASCII)


class Step(NamedTuple):
    """A change that has a name.

    changes:   as `vary` takes them; a number or length may be "x1.5" or "x350/90" times what it is.
    published: what the paper prints after it, as a share.
    part:      of what it is: "training", "architecture", or "" where nobody has said.
    """

    name: str
    changes: Mapping[str, Json]
    published: float | None = None
    part: str = ""


class Wanted(NamedTuple):
    """A step as a user asks for it: "name: path, path"."""

    name: str
    paths: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Wanted":
        """Returns what the text says; the name may be left out.

        Raises:
            RecipeError: it names no path.
        """
        name, colon, paths = text.rpartition(":")
        listed = tuple(path.strip() for path in paths.split(",") if path.strip())
        if not listed:
            raise RecipeError(f"step {text!r} names no path; write name: path, path")
        return cls(name.strip() if colon else " and ".join(listed), listed)


def steps_between(a: Recipe, b: Recipe, wanted: Sequence[Wanted] = ()) -> tuple[Step, ...]:
    """Returns the steps that lead from `a` to `b`: those wanted first, in their order, then each
    further difference by itself.

    A wanted path takes along all that differs below it.

    Raises:
        RecipeError: the recipes have different phases, do not differ, or a wanted path does not.
    """
    changes = changes_between(a, b)
    if not changes:
        raise RecipeError("the recipes do not differ; `vertebra recipes A B` compares two")
    left, steps = dict(changes), list[Step]()
    for each in wanted:
        taken = {path for path in left for stem in each.paths if _is_below(path, stem)}
        if not taken:
            raise RecipeError(
                f"step {each.name!r}: nothing differs at {', '.join(each.paths)}; "
                f"{suggest(each.paths[0], left or changes)}"
            )
        steps.append(Step(each.name, {path: left.pop(path) for path in changes if path in taken}))
    for name, paths in TOGETHER.items():
        if all(path in left for path in paths):
            steps.append(Step(name, {path: left.pop(path) for path in paths}))
    order = list(changes)
    rest = [Step(_named(a, path, value), {path: value}) for path, value in left.items()]
    grown = steps[len(wanted) :] + rest
    grown.sort(key=lambda step: order.index(next(iter(step.changes))))
    return (*steps[: len(wanted)], *grown)


def changes_between(a: Recipe, b: Recipe) -> dict[str, Json]:
    """Returns what turns `a` into `b`, as `vary` takes it: a part whose kind differs as a whole.

    Raises:
        RecipeError: the recipes have different phases.
    """
    if len(a.phases) != len(b.phases):
        raise RecipeError(
            f"the recipes have {len(a.phases)} and {len(b.phases)} phases; "
            f"compare recipes with as many"
        )
    found: dict[str, Json] = {}
    ours, theirs = to_data(a), to_data(b)
    for key in ours:
        if key not in IGNORED:
            _differ(ours[key], theirs[key], key, found)
    return {short_path(a, path): value for path, value in found.items()}


def said_between(a: Recipe, b: Recipe) -> list[str]:
    """Returns what turns `a` into `b` in words: "optimizer.weight_decay 0.0001 -> 4e-05".

    Raises:
        RecipeError: the recipes have different phases.
    """
    return [_named(a, path, value) for path, value in changes_between(a, b).items()]


def climb(base: Recipe, steps: Sequence[Step]) -> list[Recipe]:
    """Returns the recipe after each step, the steps before it included.

    Raises:
        RecipeError: a step cannot be made, or leads to a recipe that cannot run; the message names
            it.
    """
    climbed: list[Recipe] = []
    for step in steps:
        base = after(base, step)
        climbed.append(base)
    return climbed


def after(base: Recipe, step: Step) -> Recipe:
    """Returns the recipe after one step.

    Raises:
        RecipeError: as for `climb`.
    """
    try:
        changed = vary(base, _worked_out(base, step.changes))
        changed.check()
        return changed
    except RecipeError as error:
        raise RecipeError(
            f"step {step.name!r} does not stand by itself: {error}; "
            f"make it one step with another, as --step 'name: path, path'"
        ) from error


def _worked_out(base: Recipe, changes: Mapping[str, Json]) -> dict[str, Json]:
    """Returns the changes with "x1.5" multiplied out."""
    known = leaves(base)
    paths = {path: short_path(base, full_path(base, path)) for path in changes}
    return {
        path: _times(known[paths[path]], value) if paths[path] in known else value
        for path, value in changes.items()
    }


def _times(before: Json, value: Json) -> Json:
    found = _TIMES.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    factor, share = float(found[1]), int(found[2] or 1)
    if isinstance(before, int | float):
        many = before * factor / share
        return round(many) if isinstance(before, int) else many
    try:
        length = Duration.parse(str(before))
    except RecipeError:
        return value  # which will not fit
    many = length.value * factor / share  # in this order 90 epochs x350/90 are 350
    return str(Duration(round(many) if length.unit == "steps" else round(many, 4), length.unit))


def _differ(a: Json, b: Json, path: str, found: dict[str, Json]) -> None:
    if a == b:
        return
    if (
        isinstance(a, dict)
        and isinstance(b, dict)
        and _kind(a) == _kind(b)
        and a.keys() == b.keys()
    ):
        for key in cast(dict[str, Json], a):
            _differ(a[key], b[key], f"{path}.{key}", found)
    elif _holds_parts(a) and _holds_parts(b) and len(a) == len(b):
        for place, pair in enumerate(zip(a, b, strict=True)):
            _differ(*pair, f"{path}.{place}", found)
    else:
        found[path] = b


def _kind(data: dict[str, Json]) -> Json:
    return data.get("kind")


def _holds_parts(data: Json) -> bool:
    return isinstance(data, list) and any(isinstance(item, dict) for item in data)


def _is_below(path: str, stem: str) -> bool:
    return path == stem or path.startswith(f"{stem}.")


def _named(base: Recipe, path: str, value: Json) -> str:
    """Returns "optimizer.weight_decay 0.0001 -> 4e-05"; parts as their kinds, lists short."""
    data = to_data(base)
    for key in full_path(base, path).split("."):
        data = data[int(key) if isinstance(data, list) else key]
    return f"{path} {_said(data)} -> {_said(value)}"


def _said(value: Json) -> str:
    if value is None or value == []:
        return "nothing"
    if isinstance(value, dict):
        return str(cast(dict[str, Json], value).get("kind"))
    if isinstance(value, list):
        return f"[{', '.join(map(_said, cast(list[Json], value)))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
