"""The points of any records: runs, studies and results of `vertebra bench`, mixed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from vertebra.errors import CheckpointError, RecipeError
from vertebra.records import RunDirectory
from vertebra.studies.bench_points import points_of_bench
from vertebra.studies.costs import conditions, costs_of
from vertebra.studies.point import Point, timed_under
from vertebra.studies.run_points import point_of_run, points_of_study


def read_points(paths: Sequence[Path]) -> tuple[list[Point], list[str]]:
    """Returns the points of runs, studies and bench results, and why some records are none.

    A result of `vertebra bench` on a run that is there too becomes the run's.

    Raises:
        CheckpointError: a path is none of these, or broken.
        RecipeError: there is not a single point.
    """
    found = [each for path in paths for each in _read(path)]
    said = [each for each in found if isinstance(each, str)]
    points = _distinct(_joined([each for each in found if isinstance(each, Point)]))
    if not points:
        raise RecipeError(f"no record has an accuracy ({' '.join(said).rstrip('.')}); give others")
    return points, list(dict.fromkeys(said))


def _read(path: Path) -> list[Point | str]:
    if (path / "study.json").is_file():
        return list(points_of_study(path))
    if (path / "recipe.json").is_file():
        return [point_of_run(RunDirectory(path))]
    if path.is_file() and path.suffix in (".json", ".csv"):
        return list(points_of_bench(path))
    raise CheckpointError(
        f"{path} is no run, no study and no result of `vertebra bench`; give folders that "
        f"`vertebra train` or `vertebra study` made, or files of `vertebra bench --json`"
    )


def _joined(points: Sequence[Point]) -> list[Point]:
    """Returns the points with those of the same run made one."""
    runs: dict[Path, int] = {}
    joined: list[Point] = []
    for each in points:
        place = None if each.run is None else runs.setdefault(each.run, len(joined))
        if place is None or place == len(joined):
            joined.append(each)
        else:
            joined[place] = joined[place].completed(each.measured.figures, each.conditions)
    return joined


def _distinct(points: Sequence[Point]) -> list[Point]:
    """Returns the points under names that differ: with their study's, or the folder's of a run."""
    names = Counter((each.measured.name, each.measured.image_size) for each in points)
    return [
        each
        if names[each.measured.name, each.measured.image_size] == 1
        else each.named(f"{_above(each)}/{each.measured.name}")
        for each in points
    ]


def _above(point: Point) -> str:
    return point.measured.family if point.run is None else point.run.parent.name


def with_latency(
    points: Sequence[Point],
    *,
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Point]:
    """Returns the points with what was trained timed here, in fp32, where it has no latency yet.

    Raises:
        DeviceError: the device is not there.
    """
    untimed = {
        place: each.recipe
        for place, each in enumerate(points)
        if each.recipe is not None and each.figure("latency_ms") is None and each.classes
    }
    if not untimed:
        return list(points)
    recipes = [
        replace(each, execution=replace(each.execution, device=device, precision="fp32"))
        for each in untimed.values()
    ]
    found = costs_of(
        recipes, classes=[points[place].classes for place in untimed], on_progress=on_progress
    )
    how = conditions(recipes[0])
    under = {"latency_ms": timed_under(how["device"], how["threads"])}
    timed = list(points)
    for place, cost in zip(untimed, found, strict=True):
        timed[place] = timed[place].completed({"latency_ms": cost.latency_ms}, under)
    return timed
