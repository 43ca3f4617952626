"""A run whose norms are replaced: judged before and after, trained by the one loop, a run again."""

import pytest
import torch
from tests.recipes.drawn import tiny
from torch import nn

from vertebra.engine import checkpoint
from vertebra.errors import CheckpointError, RecipeError
from vertebra.layers.norm import GroupNormSpec
from vertebra.recipes.apply import evaluate_split
from vertebra.recipes.deploy import load_run
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import resume, run
from vertebra.recipes.surgery import NormSurgery, operate
from vertebra.records import RunDirectory, read_events, read_record

SURGERY = NormSurgery(norm=GroupNormSpec(channels_per_group=4), standardise=True)


@pytest.fixture(scope="module")
def before(album, tmp_path_factory):
    """A finished run with batch norms; leave it alone."""
    folder = tmp_path_factory.mktemp("surgery") / "run"
    run(tiny(album), folder)
    return folder


@pytest.fixture(scope="module")
def laid_down(before, tmp_path_factory):
    """What came of it without updates."""
    return operate(SURGERY, before, tmp_path_factory.mktemp("surgery") / "operated")


def selected(folder) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "checkpoints" / "best").tensors["model"]


def figures(folder) -> dict[str, float]:
    deployed = load_run(folder)
    split = prepare(deployed.recipe).materials[-1].splits.report
    return evaluate_split(deployed, split, name="test").figures


def test_weights_are_carried_and_the_run_before_is_left_alone(before, laid_down):
    old, new = selected(before), selected(laid_down.directory)
    assert set(laid_down.report.dropped) == old.keys() - new.keys()
    assert all(torch.equal(value, old[name]) for name, value in new.items())
    kinds = {type(each) for each in load_run(before).model.modules()}
    assert nn.BatchNorm2d in kinds and nn.GroupNorm not in kinds


def test_the_figures_are_those_that_each_run_gives(before, laid_down):
    assert (laid_down.split, laid_down.images) == ("test", 18)
    assert [*laid_down.figures] == ["before", "norms replaced"]
    assert laid_down.figures["before"] == read_record(RunDirectory(before)).figures
    assert laid_down.figures["norms replaced"] == figures(laid_down.directory)


def test_a_run_that_was_laid_down_is_trained_by_resume(laid_down, before, tmp_path):
    recipe = load_run(laid_down.directory).recipe
    assert recipe.phases[0].length == load_run(before).recipe.phases[0].length
    resumed = resume(laid_down.directory)
    trained = run(recipe, tmp_path / "whole")
    assert resumed.figures == trained.figures
    assert resumed.pretrained == {"source": f"the run {before.name}", "licence": None}
    ours, theirs = selected(laid_down.directory), selected(tmp_path / "whole")
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert ours.keys() == theirs.keys()


def test_updates_make_a_finished_run(before, tmp_path):
    outcome = operate(NormSurgery(recalibrate=4, lr=0.05), before, tmp_path / "trained")
    assert [*outcome.figures] == ["before", "norms replaced", "after 4 updates"]
    record = read_record(RunDirectory(outcome.directory))
    assert record.figures == outcome.figures["after 4 updates"] == figures(outcome.directory)
    assert record.steps == 4
    events = read_events(outcome.directory / "metrics.jsonl", "step")
    assert max(event["lr"] for event in events) == pytest.approx(0.05)
    assert {type(each) for each in load_run(outcome.directory).model.modules()} >= {nn.GroupNorm}
    with pytest.raises(CheckpointError, match="has finished"):
        resume(outcome.directory)


def test_updates_repair_what_the_swap_has_broken(before, tmp_path):
    surgery = NormSurgery(norm=GroupNormSpec(channels_per_group=4), recalibrate=20, lr=0.05)
    outcome = operate(surgery, before, tmp_path / "trained")
    losses = [each["loss"] for each in outcome.figures.values()]
    assert losses[2] < losses[1]


def test_a_folder_in_use_is_refused_before_anything_is_read(before, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="is not empty"):
        operate(SURGERY, before, tmp_path)


def test_a_second_operation_is_refused(laid_down, tmp_path):
    with pytest.raises(RecipeError, match="has no batch norms"):
        operate(SURGERY, laid_down.directory, tmp_path / "again")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"recalibrate": -1}, "recalibrate=-1; give a number of updates"),
        ({"recalibrate": 5, "lr": 0.0}, "lr=0.0; give a rate above 0"),
        ({"lr": 0.1}, "together with recalibrate"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError, match=words):
        NormSurgery(**fields)
