"""One sigmoid a class learns where a bright square stands, though a fifth of labels are wrong."""

from dataclasses import replace

import pytest
from tests.recipes.drawn import in_memory
from tests.smoke.square import plain

from vertebra.data.label_noise import LabelNoise
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import run
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

pytestmark = pytest.mark.usefixtures("no_page")


def test_it_learns_where_the_square_is(tmp_path):
    longer = plain({"length": "40 steps", "selection.every": "40 steps"})
    recipe = learn(longer, "noisy-labels", Wishes()).recipe
    found = in_memory(train=32, val=2, test=20)
    noisy = LabelNoise(rate=0.2).sample(found.splits.train, seed=0)
    assert (noisy.labels != found.splits.train.labels).sum() >= 10
    poorer = replace(found, splits=replace(found.splits, train=noisy))
    prepared = prepare(recipe, materials=(poorer,))
    assert run(recipe, tmp_path, prepared=prepared).figures["top1"] >= 0.7
