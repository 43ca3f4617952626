"""Lengths of time in a run: `epochs(90)`, `steps(5000)`, turned into steps in one place."""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from vertebra.errors import RecipeError

Unit = Literal["epochs", "steps"]
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(?:(epoch|step)s?)?\s*", re.ASCII)


@dataclass(frozen=True)
class Duration:
    """A length in epochs (fractions allowed) or in steps (optimiser updates)."""

    value: float
    unit: Unit

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise RecipeError(f"duration is in {self.unit!r}; give it in epochs or steps")
        if not math.isfinite(self.value) or self.value < 0:
            raise RecipeError(
                f"duration is {self.value}; give a finite number of {self.unit}, zero or more"
            )
        if self.unit == "steps" and self.value != int(self.value):
            raise RecipeError(
                f"duration is {self.value} steps; steps are whole, so write {round(self.value)}"
            )

    def to_steps(self, steps_per_epoch: float) -> int:
        """Returns the number of optimiser updates, rounded up; an epoch need not be whole steps."""
        if self.unit == "steps":
            return int(self.value)
        # Rounded first, so that 0.07 epochs of 100 steps, in floats 7.000000000000001, are 7.
        return math.ceil(round(self.value * steps_per_epoch, 6))

    def __str__(self) -> str:
        value = int(self.value) if self.value == int(self.value) else self.value
        return f"{value} {self.unit.removesuffix('s') if value == 1 else self.unit}"

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Returns what `str` wrote: "90 epochs", "5000 steps"; a bare number means epochs.

        Raises:
            RecipeError: `text` is something else.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise RecipeError(f"duration is {text!r}; write it like '90 epochs' or '5000 steps'")
        return cls(float(found[1]), "steps" if found[2] == "step" else "epochs")


def epochs(value: float) -> Duration:
    """Returns a duration of `value` passes over the training set."""
    return Duration(float(value), "epochs")


def steps(value: int) -> Duration:
    """Returns a duration of `value` optimiser updates."""
    return Duration(float(value), "steps")
