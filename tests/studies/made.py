"""Records and results made by hand, for tests of what studies say about them."""

from collections.abc import Mapping, Sequence
from typing import Any

from vertebra.duration import epochs
from vertebra.models.resnet import ResNetSpec
from vertebra.recipes.codec import to_data
from vertebra.recipes.recipe import Data, Phase, Recipe
from vertebra.records import Json, RunRecord
from vertebra.studies.results import Made, Results, Row
from vertebra.studies.study import Cell, Kind, Study

RECIPE = Recipe(
    name="tiny",
    source="a test",
    model=ResNetSpec(blocks=(1, 1, 1, 1), block="basic", width=0.125),
    phases=(Phase(data=Data(source="digits", batch_size=64), length=epochs(10)),),
)

OWN_LADDER: Mapping[str, Json] = {
    "source": "ours",
    "scale": "digits",
    "recipe": "digits",
    "from": {"method.loss.smoothing": 0.0},
    "begins": {"name": "plain"},
    "steps": [{"name": "+ smoothing", "changes": {"method.loss.smoothing": 0.1}}],
}
"""A ladder as a user may write one."""


def record(top1: float | None = 0.5, **changes: Any) -> RunRecord:
    """Returns the record of a finished run; without `top1` it has no figure."""
    figures = {} if top1 is None else {"top1": top1}
    given: dict[str, Any] = {
        "name": "tiny",
        "recipe": to_data(RECIPE),
        "environment": {"device": "a machine"},
        "started": "2026-11-22T12:00:00+00:00",
        "train_seconds": 10.0,
        "total_seconds": 12.0,
        "steps": 100,
        "epochs": 10.0,
        "best_step": 100,
        "reported_split": "test",
        "figures": figures,
        "selection": figures,
        "parameters": 1_000,
        "macs": 1_000_000,
        "images_per_second": 100.0,
        "data_wait_share": 0.0,
        "peak_memory_mb": 500.0,
        "data": {},
    }
    return RunRecord(**{**given, **changes})


def row(cell: Cell, records: Sequence[RunRecord | None], *, state: str = "missing") -> Row:
    """Returns a cell with a run for each seed from 0 on; None stands for one without a record."""
    runs = [
        Made(
            seed, f"{cell.name}-{seed}", each, "finished" if each else state, "" if each else "why"
        )
        for seed, each in enumerate(records)
    ]
    return Row(cell, tuple(runs))


def results(
    kind: Kind,
    found: Mapping[str, Sequence[float | None]],
    *,
    places: Mapping[str, Mapping[str, Json]] | None = None,
    recipes: Mapping[str, Recipe] | None = None,
    published: Mapping[str, float] | None = None,
) -> Results:
    """Returns what a study found: for each cell its top-1 for each seed, None where missing."""
    cells = [
        Cell(
            name=name,
            recipe=(recipes or {}).get(name, RECIPE),
            place=(places or {}).get(name, {}),
            published=(published or {}).get(name),
        )
        for name in found
    ]
    seeds = tuple(range(max(map(len, found.values()))))
    study = Study(kind=kind, question="What helps?", cells=tuple(cells), seeds=seeds)
    rows = [
        row(cell, [None if each is None else record(each) for each in found[cell.name]])
        for cell in cells
    ]
    return Results(study, tuple(rows))
