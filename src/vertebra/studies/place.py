"""A study's directory: what was asked, the runs, and what came out.

STUDY/study.json          the question and every recipe, as data
STUDY/recipes/NAME.json   what each run replays: `vertebra train --recipe FILE`
STUDY/runs/NAME           a run directory each, see `records`
STUDY/logs/NAME.txt       what each run printed
STUDY/ends/NAME.json      why a run has no record: {"state": "failed" or "stopped", "reason": ...}
STUDY/slurm               scripts, tasks and logs of the jobs, where runs went to Slurm
STUDY/table.csv, table.md, report.html
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vertebra.errors import CheckpointError, RecipeError
from vertebra.recipes.codec import to_data
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import leaves, vary
from vertebra.records import Json, RunDirectory, read_json, write_json
from vertebra.studies.study import Cell, Study, study_from_data, study_to_data
from vertebra.studies.task import Task

NOT_ASKED = ("name", "source", "expects.figure", "expects.cost")
"""Paths of a recipe that change nothing of the run."""


class Planned(NamedTuple):
    """A run of a cell; cells with the same recipe share theirs."""

    cell: Cell
    seed: int
    recipe: Recipe
    name: str


class StudyDirectory:
    """The paths of a study; naming them reads and makes nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.study = path / "study.json"
        self.table = path / "table.csv"
        self.markdown = path / "table.md"
        self.report = path / "report.html"

    @classmethod
    def next(cls, kind: str, source: str) -> "StudyDirectory":
        """Returns the first of studies/KIND-NAME-1, ... that does not exist, named after data."""
        name = f"{kind}-{Path(source).resolve().name.split('.')[0]}"
        number = 1
        while (path := Path("studies") / f"{name}-{number}").exists():
            number += 1
        return cls(path)

    def run(self, name: str) -> RunDirectory:
        """Returns the run directory of this name."""
        return RunDirectory(self.path / "runs" / name)

    def end(self, name: str) -> Path:
        """Returns where it stands why a run has no record."""
        return self.path / "ends" / f"{name}.json"

    def task(self, planned: Planned, *, threads: int | None) -> Task:
        """Returns the run as a task, its recipe written."""
        recipe = self.path / "recipes" / f"{planned.name}.json"
        write_json(recipe, to_data(planned.recipe))
        run, log = self.run(planned.name).path, self.path / "logs" / f"{planned.name}.txt"
        # absolute: another machine, or another folder, may be where it runs
        return Task(planned.name, recipe.absolute(), run.absolute(), log.absolute(), threads)

    def open(self, study: Study) -> None:
        """Writes the study; one that is there already is continued if it asks the same of each row.

        Raises:
            CheckpointError: the folder holds something else, or other recipes by the same names.
            RecipeError: two rows would have the same folders.
        """
        _require_own_folders(study)
        if self.study.is_file():
            _require_same(self.read(), study, self.path)
        elif self.path.is_file() or (self.path.is_dir() and any(self.path.iterdir())):
            raise CheckpointError(f"{self.path} is not empty; choose another folder")
        write_json(self.study, study_to_data(study))

    def read(self) -> Study:
        """Returns the study.

        Raises:
            CheckpointError: there is none.
        """
        if not self.study.is_file():
            raise CheckpointError(
                f"{self.path} is no study (it has no study.json); "
                f"give a folder that `vertebra study` made"
            )
        return study_from_data(read_json(self.study))

    def is_finished(self, name: str) -> bool:
        """Says whether the run has a record."""
        return self.run(name).record.is_file()

    def why_not(self, name: str) -> Json:
        """Returns why the run has no record, {"state": ..., "reason": ...}; None if not known."""
        return read_json(self.end(name)) if self.end(name).is_file() else None

    def drop_weights(self, name: str) -> None:
        """Removes the weights of a run that has finished; its figures stay."""
        shutil.rmtree(self.run(name).checkpoints, ignore_errors=True)


def runs_of(study: Study) -> Iterator[Planned]:
    """Yields the runs of a study, seed by seed, so that early on there is some of every row."""
    known: dict[str, str] = {}
    for seed in study.seeds:
        for cell in study.cells:
            recipe = vary(cell.recipe, {"seed": seed})
            name = known.setdefault(_identity(recipe), f"{slug(cell.name)}-{seed}")
            yield Planned(cell, seed, recipe, name)


def slug(name: str) -> str:
    """Returns a name as a folder can have it: "+ ResNet-D" -> "resnet-d"."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "row"


def _identity(recipe: Recipe) -> str:
    """Returns what is the same for recipes that make the same run."""
    asked = {path: value for path, value in leaves(recipe).items() if path not in NOT_ASKED}
    return repr(sorted(asked.items()))


def _require_own_folders(study: Study) -> None:
    taken: dict[str, str] = {}
    for cell in study.cells:
        other = taken.setdefault(slug(cell.name), cell.name)
        if other != cell.name:
            raise RecipeError(
                f"rows {other!r} and {cell.name!r} would share the folder {slug(cell.name)!r}; "
                f"give one of them another name"
            )


def _require_same(earlier: Study, study: Study, path: Path) -> None:
    recipes = {slug(cell.name): _identity(cell.recipe) for cell in earlier.cells}
    if earlier.kind != study.kind:
        raise CheckpointError(
            f"{path} holds a study of another kind, {earlier.kind}; choose another folder"
        )
    if earlier.threads != study.threads:
        raise CheckpointError(
            f"{path} was made with threads={earlier.threads}, not {study.threads}, and rounding "
            f"depends on it; give the same, or choose another folder"
        )
    for cell in study.cells:
        if recipes.get(slug(cell.name), _identity(cell.recipe)) != _identity(cell.recipe):
            raise CheckpointError(
                f"{path} holds another recipe under the name {cell.name!r}; "
                f"choose another folder, or `vertebra study resume {path}`"
            )
