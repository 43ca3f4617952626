"""What the fields of a spec may be; a check names the field, its value and what to do."""

import math
from collections.abc import Sequence

from vertebra.errors import RecipeError


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


def scaled_depth(blocks: int, depth: float) -> int:
    """Returns `blocks * depth` as a whole number, halves up, at least one."""
    return max(1, int(blocks * depth + 0.5))
