from dataclasses import replace

import pytest
from tests.recipes.drawn import tiny

from vertebra.data.beside import Beside, PseudoLabels
from vertebra.engine.averaging import Averaging
from vertebra.engine.loop import update
from vertebra.methods.noisy_student import NoisyStudentSpec
from vertebra.models.resnet import ResNetSpec
from vertebra.recipes.plan import Speed, estimate, expect, measure
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import run
from vertebra.recipes.vary import vary

SPEED = Speed(step=1.0, evaluation=10.0, report=100.0, memory_mb=5.0, checkpoint_mb=3.0)


def of_two(recipe, **changes):
    """Returns the recipe with a second phase."""
    return replace(recipe, phases=(recipe.phases[0], replace(recipe.phases[0], **changes)))


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
    assert found.total_seconds == found.training_seconds + found.evaluation_seconds
    assert found.evaluation_seconds > 0
    assert found.peak_memory_mb > 10


def test_memory_is_treated_as_a_run_treats_it(album, monkeypatch):
    seen: list[str] = []
    for name in ("keep_out_of_heap", "keep_in_heap"):
        monkeypatch.setattr(f"vertebra.engine.execution.{name}", lambda _, n=name: seen.append(n))

    def launched(*given):
        seen.append("update")
        return update(*given)

    monkeypatch.setattr("vertebra.recipes.plan.update", launched)
    measure(prepare(tiny(album)), seconds=0)
    assert seen == ["keep_out_of_heap", "update", "keep_in_heap", "update", "update"]


def test_a_run_of_one_step_can_be_estimated(album):
    assert estimate(prepare(tiny(album, {"length": "1 steps"}))).steps == 1


def test_evaluations_are_counted_as_the_run_makes_them(album):
    # 6 updates, looked at after each epoch of 3; then every 4, and at the end; then the report
    assert expect(prepare(tiny(album)), (SPEED,)).evaluation_seconds == 2 * 10 + 100
    rare = tiny(album, {"selection.every": "4 steps"})
    assert expect(prepare(rare), (SPEED,)).evaluation_seconds == 2 * 10 + 100
    once = tiny(album, {"selection.every": "9 steps"})
    assert expect(prepare(once), (SPEED,)).evaluation_seconds == 10 + 100


def test_each_phase_has_its_own_speed(album):
    prepared = prepare(of_two(tiny(album), length=tiny(album).phases[0].length))
    slow = SPEED._replace(step=5.0, evaluation=20.0, report=200.0, memory_mb=7.0)
    found = expect(prepared, (SPEED, slow))
    assert found.training_seconds == 6 * 1 + 6 * 5
    assert found.evaluation_seconds == 2 * 10 + 2 * 20 + 200
    assert found.seconds_per_step == 3
    assert found.peak_memory_mb == 7


@pytest.mark.parametrize("hard", [True, False])
def test_a_student_of_the_phase_before_is_measured_without_a_teacher(album, hard):
    pool = Beside(ratio=3, labels=PseudoLabels(threshold=0.0, hard=hard))
    plain = tiny(album)
    data = replace(plain.phases[0].data, beside=pool)
    found = measure(prepare(of_two(plain, data=data, method=NoisyStudentSpec())))
    assert len(found) == 2
    assert all(each.step > 0 and each.evaluation > 0 for each in found)


def test_a_phase_with_larger_images_is_measured_with_them(album):
    recipe = vary(tiny(album), {"model": ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.5)})
    data = recipe.phases[0].data
    large = replace(data, preprocess=replace(data.preprocess, image_size=128))
    small, second = measure(prepare(of_two(recipe, data=large)), seconds=0)
    assert second.step > small.step
