"""Runs, studies and bench results written to disk by hand, for tests of what reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.studies.made import RECIPE, record

from vertebra.bench.latency import Spread
from vertebra.bench.operators import KINDS
from vertebra.bench.record import BenchRecord, Latency, Throughput
from vertebra.bench.settings import BenchSettings
from vertebra.recipes.codec import to_data
from vertebra.recipes.recipe import Recipe
from vertebra.records import Json, RunDirectory, write_json, write_record
from vertebra.studies.place import StudyDirectory, runs_of
from vertebra.studies.study import Cell, Study

CPU = {"device": "cpu: x86_64", "threads": 2}


def keep_run(
    path: Path, top1: float | None = 0.5, *, recipe: Recipe = RECIPE, **changes: Any
) -> Path:
    """Writes a finished run; returns its path."""
    place = RunDirectory(path)
    write_json(place.recipe, to_data(recipe))
    write_json(place.classes, ["a", "b"])
    write_record(place, record(top1, **{"environment": CPU, **changes}))
    return path


def keep_study(
    path: Path,
    found: Mapping[str, Sequence[float | None]],
    *,
    places: Mapping[str, Mapping[str, Json]] | None = None,
    facts: Mapping[str, Json] | None = None,
) -> Path:
    """Writes a study with runs of these top-1, None where one is missing; returns its path."""
    place = StudyDirectory(path)
    cells = [
        Cell(
            name=name,
            recipe=RECIPE.__class__(**{**vars(RECIPE), "dropout": number / 10}),
            place=(places or {}).get(name, {"role": "step", "part": ""}),
        )
        for number, name in enumerate(found)
    ]
    seeds = tuple(range(max(map(len, found.values()))))
    study = Study(
        kind="ablate", question="What?", cells=tuple(cells), seeds=seeds, facts=facts or {}
    )
    place.open(study)
    for planned in runs_of(study):
        if (top1 := found[planned.cell.name][planned.seed]) is not None:
            keep_run(place.run(planned.name).path, top1, recipe=planned.recipe)
    return path


def bench(model: str, *, latency_ms: float | None = 5.0, image_size: int = 224, **settings: Any):
    """Returns a bench record; without `latency_ms` it was not timed."""
    given = BenchSettings(**{"batch_size": 1, "threads": 2, **settings})
    once = Spread(p25=1, p50=1, p75=1)
    return BenchRecord(
        model=model,
        image_size=image_size,
        settings=given,
        machine={"device": "cpu: x86_64", "torch": "2"},
        measured="2026-11-22T12:00:00+00:00",
        parameters=2_000_000,
        macs=dict.fromkeys(KINDS, 1_000_000),
        activations=3_000,
        inference_memory_mb=20.0,
        training_memory_mb=90.0,
        latency=latency_ms
        and Latency(
            batch_size=given.call_size,
            calls=9,
            p25_ms=latency_ms,
            p50_ms=latency_ms,
            p75_ms=latency_ms,
            p95_ms=latency_ms,
            ratio=once,
        ),
        throughput=latency_ms
        and Throughput(batch_size=1, calls=9, images_per_s=1000 / latency_ms, ratio=once),
    )
