"""What the fields of a spec may be; a check names the field, its value and what to do."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from vertebra.errors import RecipeError

Layout = TypeVar("Layout")

STAGES = 4
"""Of a residual network, and of most that came after it."""


def require_one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Refuses a value that is not among `allowed`.

    Raises:
        RecipeError: it is not.
    """
    if value not in allowed:
        raise RecipeError(f"{name}={value!r}; choose one of {', '.join(map(repr, allowed))}")


def require_factor(name: str, factor: float) -> None:
    """Refuses a multiplier that is not a finite number above 0.

    Raises:
        RecipeError: it is not.
    """
    if not (math.isfinite(factor) and factor > 0):
        raise RecipeError(f"{name}={factor}; give a finite factor above 0, such as 0.5")


def require_rate(name: str, rate: float) -> None:
    """Refuses a probability that is not in [0, 1).

    Raises:
        RecipeError: it is not.
    """
    if not 0 <= rate < 1:
        raise RecipeError(f"{name}={rate}; give a rate in [0, 1), where 0 is none")


def require_count(name: str, count: int) -> None:
    """Refuses a number of things below 1.

    Raises:
        RecipeError: it is.
    """
    if count < 1:
        raise RecipeError(f"{name}={count}; give a whole number, at least 1")


def require_stages(name: str, counts: Sequence[int]) -> None:
    """Refuses what does not say how much there is in each of four stages.

    Raises:
        RecipeError: there are not four, or one is below 1.
    """
    if len(counts) != STAGES or min(counts) < 1:
        raise RecipeError(f"{name}={counts}; give four whole numbers, each at least 1")


def require_share(name: str, share: float | None) -> None:
    """Refuses a share that is not in (0, 1]; None is no such part.

    Raises:
        RecipeError: it is not.
    """
    if share is not None and not 0 < share <= 1:
        raise RecipeError(f"{name}={share}; give a share in (0, 1], or None for none")


def layout_of(depth: int, layouts: Mapping[int, Layout]) -> Layout:
    """Returns the published layout of a network of `depth` layers.

    Raises:
        RecipeError: there is none.
    """
    if depth not in layouts:
        known = ", ".join(map(str, layouts))
        raise RecipeError(f"depth={depth} has no stage layout; choose one of {known}")
    return layouts[depth]


def scaled_depth(blocks: int, depth: float) -> int:
    """Returns `blocks * depth` as a whole number, halves up, at least one."""
    return max(1, int(blocks * depth + 0.5))
