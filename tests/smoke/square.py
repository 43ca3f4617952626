"""A recipe that learns in seconds where a bright square stands, and what one gets right of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.recipes.drawn import in_memory, tiny

from vertebra.engine.optimizers import SGD
from vertebra.recipes.prepare import prepare
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.run import run
from vertebra.records import RunRecord


def plain(changes: Mapping[str, Any] | None = None) -> Recipe:
    """Returns plain training of 30 updates, changed."""
    usual = {
        "optimizer": SGD(lr=0.05),
        "data.batch_size": 24,
        "length": "30 steps",
        "selection.every": "30 steps",
    }
    return tiny(Path("drawn"), {**usual, **(changes or {})})


def learnt(recipe: Recipe, folder: Path) -> RunRecord:
    """Returns the record of a run of the recipe on drawn images."""
    return run(
        recipe, folder, prepared=prepare(recipe, materials=(in_memory(train=16, val=2, test=20),))
    )
