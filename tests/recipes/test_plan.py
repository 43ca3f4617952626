import pytest
from tests.recipes.drawn import tiny

from vertebra.engine.averaging import Averaging
from vertebra.recipes.plan import estimate
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import run


def test_an_estimate_is_of_the_run(album, tmp_path):
    recipe = tiny(album, {"averaging": Averaging()})
    prepared = prepare(recipe)
    found = estimate(prepared)
    record = run(recipe, tmp_path / "run", prepared=prepared)
    assert (found.parameters, found.macs, found.steps) == (
        record.parameters, record.macs, record.steps
    )  # fmt: skip
    last = (tmp_path / "run" / "checkpoints" / "last").iterdir()
    assert found.checkpoint_mb == pytest.approx(
        sum(path.stat().st_size for path in last) / 2**20, rel=0.1
    )
    assert 0 < found.seconds_per_step < 10
    assert found.total_seconds == found.seconds_per_step * 6
    assert found.peak_memory_mb > 10


def test_a_run_of_one_step_can_be_estimated(album):
    assert estimate(prepare(tiny(album, {"length": "1 steps"}))).steps == 1
