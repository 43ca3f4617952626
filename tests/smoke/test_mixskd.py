"""MixSKD learns where a bright square stands, on drawn images, in seconds."""

from pathlib import Path

import pytest
from tests.recipes.drawn import in_memory, tiny

from vertebra.engine.optimizers import SGD
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import run
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes


@pytest.mark.parametrize("adversarial", [False, True])
def test_it_learns_where_the_square_is(adversarial, tmp_path, monkeypatch):
    monkeypatch.setattr("vertebra.recipes.run.write_report", lambda place: None)
    plain = tiny(
        Path("drawn"),
        {
            "optimizer": SGD(lr=0.05),
            "data.batch_size": 24,
            "length": "30 steps",
            "selection.every": "30 steps",
        },
    )
    recipe = vary(learn(plain, "mixskd", Wishes()).recipe, {"method.adversarial": adversarial})
    prepared = prepare(recipe, materials=(in_memory(train=16, val=2, test=20),))
    assert run(recipe, tmp_path, prepared=prepared).figures["top1"] >= 0.7
