"""Runs and rows of studies as points."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from vertebra.recipes.recipe import Recipe
from vertebra.recipes.shelf import load
from vertebra.records import Json, RunDirectory, RunRecord, read_json, read_record
from vertebra.report.measured import Measured
from vertebra.report.quantities import number_of
from vertebra.studies.place import StudyDirectory
from vertebra.studies.point import Point, kind_of, on, timed_under
from vertebra.studies.results import Row, read_results
from vertebra.studies.statistics import Interval


def point_of_run(place: RunDirectory) -> Point | str:
    """Returns the point of a run, or a sentence that says why it is none.

    Raises:
        CheckpointError: its record is broken.
    """
    if not place.record.is_file():
        return f"{place.path} has not finished."
    record = read_record(place)
    if "top1" not in record.figures:
        return f"{place.path} has no top-1 accuracy."
    recipe = load(place.recipe)
    return Point(
        measured=Measured(
            name=place.path.resolve().name,
            image_size=recipe.phases[-1].data.preprocess.image_size,
            family="runs",
            figures=_costs(record),
            top1=record.figures["top1"],
            origin=f"{_data(recipe, record)}, 1 run",
        ),
        conditions=_conditions(recipe, record),
        runs=1,
        recipe=recipe,
        classes=_classes(place),
        run=place.path.resolve(),
    )


def points_of_study(path: Path) -> Iterator[Point | str]:
    """Yields the point of each row, the mean of its runs, or a sentence that says why it is none.

    Raises:
        CheckpointError: a record is broken.
    """
    place = StudyDirectory(path)
    results = read_results(place)
    for row in results.rows:
        figure = row.mean()
        if figure is None:
            yield f"{path}, {row.cell.name} has no figure."
        else:
            yield _row(row, figure, place, results.study.facts)


def _row(row: Row, figure: Interval, place: StudyDirectory, facts: Mapping[str, Json]) -> Point:
    recipe, records = row.cell.recipe, row.records
    first = records[min(records)]
    conditions = _conditions(recipe, first)
    latency = row.cell.place.get("latency_ms") if "device" in facts else None
    if latency is not None:
        conditions["latency_ms"] = timed_under(facts["device"], facts["threads"])
    run = next(run.name for run in row.runs if run.record is not None)
    return Point(
        measured=Measured(
            name=row.cell.name,
            image_size=recipe.phases[-1].data.preprocess.image_size,
            family=place.path.resolve().name,
            figures={
                **_costs(first),
                "peak_memory_mb": row.median(lambda record: record.peak_memory_mb),
                "train_seconds": row.median(lambda record: record.train_seconds),
                "latency_ms": latency,
            },
            top1=figure.mean,
            half=figure.half,
            origin=f"{_data(recipe, first)}, {number_of(figure.n, 'run')}",
        ),
        conditions=conditions,
        runs=figure.n,
        recipe=recipe,
        classes=_classes(place.run(run)),
    )


def _costs(record: RunRecord) -> dict[str, float | None]:
    return {
        "parameters": record.parameters,
        "macs": record.macs,
        "peak_memory_mb": record.peak_memory_mb,
        "train_seconds": record.train_seconds,
    }


def _conditions(recipe: Recipe, record: RunRecord) -> dict[str, str]:
    device = str(record.environment.get("device", "an unknown device"))
    return {
        "top1": _data(recipe, record),
        "train_seconds": on(device, record.environment.get("threads")),
        "peak_memory_mb": kind_of(device),
    }


def _data(recipe: Recipe, record: RunRecord) -> str:
    """Returns what the accuracy is of: "photos, val"."""
    return f"{Path(recipe.phases[-1].data.source).name}, {record.reported_split}"


def _classes(place: RunDirectory) -> int:
    return len(read_json(place.classes)) if place.classes.is_file() else 0
