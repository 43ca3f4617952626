"""Results of `vertebra bench` as points: models with a published accuracy, and runs."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vertebra.bench.record import from_data
from vertebra.bench.settings import BenchSettings
from vertebra.errors import CheckpointError, VertebraError
from vertebra.models.published import published_of
from vertebra.models.shelf import find_entry
from vertebra.records import Json, RunDirectory, read_json
from vertebra.report.measured import Measured
from vertebra.report.quantities import number_of
from vertebra.studies.point import Point, kind_of, on, timed_under
from vertebra.studies.run_points import point_of_run

PUBLISHED = "ImageNet, published"
"""What the accuracies of papers are of."""

FIGURES = (
    "parameters",
    "macs",
    "activations",
    "inference_memory_mb",
    "training_memory_mb",
    "latency_ms",
    "images_per_s",
)


class _Result(NamedTuple):
    """A model that was measured, read from either form."""

    model: str
    image_size: int
    figures: Mapping[str, float | None]
    settings: BenchSettings
    device: str


def points_of_bench(path: Path) -> Iterator[Point | str]:
    """Yields the point of each result, or a sentence that says why it is none.

    Raises:
        CheckpointError: the file holds no results.
    """
    found = _from_json(path) if path.suffix == ".json" else _from_csv(path)
    yield from map(_point, found)


def _from_json(path: Path) -> list[_Result]:
    data: Json = read_json(path)
    if not isinstance(data, list):
        raise CheckpointError(
            f"{path} is no list of results; write it with `vertebra bench --json`"
        )
    records = map(from_data, data)
    return [
        _Result(
            each.model, each.image_size, each.figures(), each.settings, str(each.machine["device"])
        )
        for each in records
    ]


def _from_csv(path: Path) -> list[_Result]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [
            _Result(
                row["model"],
                int(row["image_size"]),
                {name: float(row[name]) if row[name] else None for name in FIGURES},
                _settings(row),
                row["device_name"],
            )
            for row in rows
        ]
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no table of results ({error!r}); write it with `vertebra bench --csv`"
        ) from error


def _settings(row: Mapping[str, str]) -> BenchSettings:
    return BenchSettings(
        batch_size=int(row["batch_size"]) if row["batch_size"] else None,
        precision="bf16" if row["precision"] == "bf16" else "fp32",
        device=row["device"],
        threads=int(row["threads"]) if row["threads"] else None,
        compile=row["compile"] == "True",
        channels_last=row["channels_last"] == "True",
        fused=row["fused"] == "True",
    )


def _point(result: _Result) -> Point | str:
    figures = {name: result.figures[name] for name in FIGURES}
    place = RunDirectory(Path(result.model))
    if place.recipe.is_file():
        run = point_of_run(place)
        if isinstance(run, str):
            return run
        return run.completed(figures, _conditions(result))
    published = [
        each for each in published_of(result.model) if each.image_size == result.image_size
    ]
    if not published:
        return f"{result.model} at {result.image_size} px has no accuracy."
    return Point(
        measured=Measured(
            name=" ".join([result.model, *_form(result.settings)]),
            image_size=result.image_size,
            family=_family(result.model),
            figures=figures,
            top1=published[0].top1,
            origin=PUBLISHED,
            source=published[0].source,
        ),
        conditions={**_conditions(result), "top1": PUBLISHED},
    )


def _conditions(result: _Result) -> dict[str, str]:
    settings, device = result.settings, result.device
    where = on(device, settings.threads)
    images = number_of(settings.call_size, "image")
    return {
        "latency_ms": timed_under(device, settings.threads, images=settings.call_size),
        "image_ms": where,
        "inference_memory_mb": f"{kind_of(device)}, {images} a call",
        "training_memory_mb": f"{kind_of(device)}, {settings.step_size} images a step",
    }


def _form(settings: BenchSettings) -> list[str]:
    """Returns what is unusual of how a model was run; the same model may stand there twice."""
    forms = {
        settings.precision: settings.precision != "fp32",
        "compiled": settings.compile,
        "fused": settings.fused,
        "channels last": settings.channels_last,
    }
    return [name for name, holds in forms.items() if holds]


def _family(model: str) -> str:
    with suppress(VertebraError):  # timm is not installed, or the run is gone
        return find_entry(model).family.name
    return "models"
