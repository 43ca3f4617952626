"""Recipes of two phases: what is handed on, and what is not."""

from dataclasses import replace

import pytest
import torch
from tests.recipes.drawn import tiny
from torch import nn

from vertebra.duration import steps
from vertebra.engine import checkpoint
from vertebra.engine.averaging import Averaging
from vertebra.engine.observers import Selector
from vertebra.engine.optimizers import SGD
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import run
from vertebra.records import read_events


@pytest.fixture(scope="module")
def recipe(album):
    """A phase that averages, then one without an average that hardly moves."""
    first = tiny(album, {"averaging": Averaging(decay=0.5), "selection.keep": "last"})
    second = tiny(album, {"length": "1 epochs", "optimizer.lr": 1e-12}).phases[0]
    return replace(first, phases=(first.phases[0], second))


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    """The record and folder of a run, and the momentum of its norms after each update."""
    folder = tmp_path_factory.mktemp("phases") / "run"
    momenta = []
    after_step = Selector.after_step

    def noting(self, moment):
        modules = self._training.method.modules()
        momenta.append(next(m.momentum for m in modules if isinstance(m, nn.BatchNorm2d)))
        after_step(self, moment)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Selector, "after_step", noting)
        return run(recipe, folder), folder, momenta


def test_a_phase_goes_on_with_what_the_one_before_deployed(finished, recipe, tmp_path):
    run(replace(recipe, phases=recipe.phases[:1]), tmp_path / "first")
    first, last = (
        checkpoint.load(folder / "checkpoints" / "best").tensors["model"]
        for folder in (tmp_path / "first", finished[1])
    )
    for name, value in first.items():
        if "running" not in name and value.is_floating_point():
            torch.testing.assert_close(last[name], value, atol=1e-9, rtol=0)


def test_an_average_changes_the_norms_of_its_own_phase_only(finished):
    assert finished[2] == [1.0] * 6 + [0.1] * 3


def test_the_record_is_that_of_all_phases(finished):
    record, folder, _ = finished
    assert (record.steps, record.epochs, record.best_step) == (9, 3.0, 9)
    steps = [event["step"] for event in read_events(folder / "metrics.jsonl", "step")]
    assert steps == list(range(1, 10))
    assert record.images_per_second * record.train_seconds == pytest.approx(9 * 12)


def test_a_phase_takes_the_model_or_its_backbone_or_nothing(recipe, tmp_path):
    """Of the phase before; what it does not take is drawn anew, and not as that one began."""
    still = replace(recipe.phases[1], optimizer=SGD(lr=1e-12), length=steps(1))
    first = replace(recipe.phases[0], averaging=None)
    left = selected(replace(recipe, phases=(first,)), tmp_path / "left")
    fresh = prepare(recipe).new_model().state_dict()
    for takes, kept in (
        ("model", {"backbone", "head"}),
        ("backbone", {"backbone"}),
        ("nothing", set()),
    ):
        phases = (first, replace(still, takes=takes))
        found = selected(replace(recipe, phases=phases), tmp_path / takes)
        weights = [name for name, value in found.items() if value.ndim > 1]
        same = {name for name in weights if torch.allclose(found[name], left[name], atol=1e-9)}
        assert same == {name for name in weights if name.split(".")[0] in kept}
        drawn = [name for name in weights if name not in same]
        assert not any(torch.allclose(found[name], fresh[name]) for name in drawn)


def selected(recipe, folder):
    run(recipe, folder)
    return checkpoint.load(folder / "checkpoints" / "best").tensors["model"]
