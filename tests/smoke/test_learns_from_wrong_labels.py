"""One sigmoid a class learns where a bright square stands, though a fifth of labels are wrong."""

from dataclasses import replace
from pathlib import Path

from tests.recipes.drawn import in_memory, tiny

from vertebra.data.label_noise import LabelNoise
from vertebra.engine.optimizers import SGD
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import run
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes


def test_it_learns_where_the_square_is(tmp_path, monkeypatch):
    monkeypatch.setattr("vertebra.recipes.run.write_report", lambda place: None)
    changes = {"data.batch_size": 24, "length": "40 steps", "selection.every": "40 steps"}
    recipe = tiny(Path("drawn"), {"optimizer": SGD(lr=0.05), **changes})
    recipe = learn(recipe, "noisy-labels", Wishes()).recipe
    found = in_memory(train=32, val=2, test=20)
    noisy = LabelNoise(rate=0.2).sample(found.splits.train, seed=0)
    assert (noisy.labels != found.splits.train.labels).sum() >= 10
    poorer = replace(found, splits=replace(found.splits, train=noisy))
    prepared = prepare(recipe, materials=(poorer,))
    assert run(recipe, tmp_path, prepared=prepared).figures["top1"] >= 0.7
