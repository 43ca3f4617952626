"""A network turned into two-bit filters knows where a bright square stands as its teacher did."""

import pytest
from tests.recipes.drawn import in_memory
from tests.smoke.square import plain

from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import run
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

pytestmark = pytest.mark.usefixtures("no_page")


def test_it_learns_from_its_teacher_where_the_square_is(tmp_path):
    materials = in_memory(train=16, val=2, test=40)
    changes = {
        "model.form": "C",
        "model.blocks": [1, 1, 1, 1],
        "length": "40 steps",
        "selection.every": "40 steps",
    }
    recipe = plain(changes)
    teacher = run(recipe, tmp_path / "run", prepared=prepare(recipe, materials=(materials,)))
    longer = vary(recipe, {"length": "90 steps", "selection.every": "90 steps"})
    recipe = learn(longer, "arch-net", Wishes(teachers=(str(tmp_path / "run"),))).recipe
    recipe = vary(recipe, {f"phases.{place}.optimizer.lr": 3e-3 for place in range(4)})
    prepared = prepare(recipe, materials=(materials,) * len(recipe.phases))
    student = run(recipe, tmp_path / "student", prepared=prepared)
    assert teacher.figures["top1"] >= 0.8
    assert student.figures["top1"] >= 0.7
