"""What came out of a study: the rows of its cells, each with its runs."""

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from vertebra.records import RunRecord, read_record
from vertebra.studies.place import StudyDirectory, runs_of
from vertebra.studies.statistics import Interval, interval
from vertebra.studies.study import Cell, Study


class Made(NamedTuple):
    """A run of a row.

    name:   of its directory.
    record: None where it has not finished; `state` is then "failed", "stopped" or "missing".
    """

    seed: int
    name: str
    record: RunRecord | None
    state: str
    reason: str


class Row(NamedTuple):
    """A cell with its runs, one a seed."""

    cell: Cell
    runs: tuple[Made, ...]

    @property
    def records(self) -> dict[int, RunRecord]:
        """The records of finished runs, by seed."""
        return {each.seed: each.record for each in self.runs if each.record is not None}

    @property
    def state(self) -> str:
        """What stands where a figure should: "failed", "stopped" or "missing"."""
        states = {run.state for run in self.runs}
        return next((each for each in ("failed", "stopped") if each in states), "missing")

    def figures(self, name: str = "top1") -> dict[int, float]:
        """Returns a figure of the split that is reported, by seed."""
        return {
            seed: record.figures[name]
            for seed, record in self.records.items()
            if name in record.figures
        }

    def selection(self, name: str = "top1") -> dict[int, float]:
        """Returns a figure of the split that chooses, by seed: what decisions go by."""
        return {
            seed: record.selection[name]
            for seed, record in self.records.items()
            if name in record.selection
        }

    def mean(self, name: str = "top1") -> Interval | None:
        """Returns the mean of a figure over the seeds; None if no run has finished."""
        return interval(list(self.figures(name).values()))

    def median(self, of: Callable[[RunRecord], float]) -> float | None:
        """Returns the median of a cost over the runs; None if none has finished."""
        values = [of(record) for record in self.records.values()]
        return median(values) if values else None


class Results(NamedTuple):
    """A study and its rows, in the order of its cells."""

    study: Study
    rows: tuple[Row, ...]

    @property
    def unfinished(self) -> list[tuple[Row, Made]]:
        """Runs without a record, with their rows."""
        return [(row, run) for row in self.rows for run in row.runs if run.record is None]


def read_results(place: StudyDirectory) -> Results:
    """Returns what the directory holds; runs that are missing are so.

    Raises:
        CheckpointError: there is no study, or a record is broken.
    """
    study = place.read()
    runs: dict[str, list[Made]] = {cell.name: [] for cell in study.cells}
    for planned in runs_of(study):
        runs[planned.cell.name].append(_made(place, planned.name, planned.seed))
    return Results(study, tuple(Row(cell, tuple(runs[cell.name])) for cell in study.cells))


def _made(place: StudyDirectory, name: str, seed: int) -> Made:
    if place.is_finished(name):
        return Made(seed, name, read_record(place.run(name)), "finished", "")
    why = place.why_not(name) or {"state": "missing", "reason": "not run yet"}
    return Made(seed, name, None, why["state"], why["reason"])
