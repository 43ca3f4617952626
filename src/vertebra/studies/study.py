"""A study: a question that takes many runs to answer, as one value that can be stored and
continued."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from vertebra.errors import RecipeError
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.recipe import Recipe
from vertebra.records import Json

Kind: TypeAlias = Literal["ablate", "decay", "scale", "resolution", "data"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A recipe that the study runs once for each seed.

    place:     where it stands in the study, as {"width": 0.5, "epochs": 10}; the reading of the
               study's kind says which keys there are.
    published: what the paper prints for it, as a share; None where it prints nothing.
    """

    name: str
    recipe: Recipe
    place: Mapping[str, Json] = field(default_factory=dict[str, Json])
    published: float | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question and the runs that answer it.

    kind:     how the runs are read, see `kinds.py`.
    question: a sentence for the head of the page.
    source:   paper and section of the published figures, and their scale; "" where there are none.
    command:  what was typed, to be typed again.
    threads:  of each run on a CPU. Rounding depends on it, so it stays the same wherever the runs
              go; None leaves it to torch.
    facts:    what else the reading needs.
    """

    kind: Kind
    question: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    source: str = ""
    command: str = ""
    threads: int | None = None
    facts: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def __post_init__(self) -> None:
        if not self.cells:
            raise RecipeError("a study has nothing to run; give at least one recipe")
        if not self.seeds:
            raise RecipeError("a study has no seeds; give one or more, as --seeds 3")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise RecipeError(f"seeds={self.seeds}; give different ones of zero or more")
        if self.threads is not None and self.threads < 1:
            raise RecipeError(f"threads={self.threads}; give at least 1, or nothing")
        names = [cell.name for cell in self.cells]
        for name in names:
            if names.count(name) > 1:
                raise RecipeError(f"two rows are called {name!r}; give each its own name")

    def check(self) -> None:
        """Refuses a recipe whose parts do not fit each other, before any has run.

        Raises:
            RecipeError: the message names the row.
        """
        for cell in self.cells:
            try:
                cell.recipe.check()
            except RecipeError as error:
                raise RecipeError(f"{cell.name!r} cannot run: {error}") from error


def study_to_data(study: Study) -> Json:
    """Returns the study as `study.json` holds it."""
    return {
        "kind": study.kind,
        "question": study.question,
        "source": study.source,
        "command": study.command,
        "threads": study.threads,
        "seeds": list(study.seeds),
        "facts": dict(study.facts),
        "cells": [
            {
                "name": cell.name,
                "place": dict(cell.place),
                "published": cell.published,
                "recipe": to_data(cell.recipe),
            }
            for cell in study.cells
        ],
    }


def study_from_data(data: Json) -> Study:
    """Returns what `study_to_data` wrote.

    Raises:
        RecipeError: the data are no study.
    """
    try:
        cells = tuple(
            Cell(
                name=cell["name"],
                recipe=from_data(Recipe, cell["recipe"], path=cell["name"]),
                place=cell["place"],
                published=cell["published"],
            )
            for cell in data["cells"]
        )
        return Study(
            kind=data["kind"],
            question=data["question"],
            cells=cells,
            seeds=tuple(data["seeds"]),
            source=data["source"],
            command=data["command"],
            threads=data["threads"],
            facts=data["facts"],
        )
    except (KeyError, TypeError) as error:
        raise RecipeError(f"the study cannot be read ({error!r}); start it anew") from error
