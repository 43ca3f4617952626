"""A whole run: what it leaves behind is true, repeatable, and blind to the reported split."""

import math
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from tests.recipes.drawn import CLASSES, draw_album, tiny

from vertebra.data.mixing import Mixing
from vertebra.engine import checkpoint
from vertebra.engine.averaging import Averaging
from vertebra.engine.tensorboard import TensorBoardView
from vertebra.errors import CheckpointError, NonFiniteError
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy
from vertebra.recipes.apply import evaluate_split
from vertebra.recipes.codec import from_data
from vertebra.recipes.deploy import load_run
from vertebra.recipes.prepare import prepare
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.run import run
from vertebra.records import RunDirectory, read_events, read_json, read_record
from vertebra.report.evaluation import read_evaluation, write_evaluation


def weights(directory):
    return checkpoint.load(directory / "checkpoints" / "best").tensors["model"]


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def recipe(album):
    return tiny(album, {"averaging": Averaging(decay=0.5), "selection.every": "2 steps"})


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    """The record and the folder of a run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return run(recipe, folder), folder


def test_a_run_leaves_its_files_and_nothing_else(finished):
    place = RunDirectory(finished[1])
    expected = {path for path in vars(place).values() if path != place.path}
    assert set(place.path.iterdir()) == expected
    assert {path.name for path in place.checkpoints.iterdir()} == {"best", "last"}


def test_the_record_is_on_disk_as_it_was_returned(finished, recipe):
    record, folder = finished
    assert read_record(RunDirectory(folder)) == record
    assert from_data(Recipe, record.recipe) == recipe
    assert read_json(folder / "recipe.json") == record.recipe
    assert read_json(folder / "environment.json") == record.environment
    assert read_json(folder / "classes.json") == list(CLASSES)
    preprocess = asdict(recipe.phases[0].data.preprocess)
    assert read_json(folder / "preprocess.json") == {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in preprocess.items()
    }


def test_the_record_counts_what_was_done(finished, recipe):
    record, folder = finished
    steps = list(read_events(folder / "metrics.jsonl", "step"))
    assert [event["step"] for event in steps] == [1, 2, 3, 4, 5, 6]
    assert (record.steps, record.epochs) == (6, 2.0)
    assert record.images_per_second * record.train_seconds == pytest.approx(6 * 12)
    assert 0 < record.train_seconds < record.total_seconds
    assert 0 < record.data_wait_share < 1
    assert record.parameters == sum(
        each.numel() for each in prepare(recipe).new_model().parameters()
    )
    assert record.data["train"] == {"found": 36, "used": 36, "refused": []}
    assert (record.resumed_at, record.quarantined) == ((), ())


def test_figures_are_those_of_the_evaluation_on_the_reported_split(finished):
    record, folder = finished
    found = read_evaluation(folder / "evaluation.json")
    assert (found.split, found.n) == (record.reported_split, 18) == ("test", 18)
    assert found.figures == record.figures
    confusion = np.array(found.confusion)
    assert confusion.sum(1).tolist() == [6, 6, 6]
    assert record.figures["top1"] == confusion.trace() / 18
    assert len(found.mistakes) == 18 - confusion.trace()
    confidences = [each.confidence for each in found.mistakes]
    assert confidences == sorted(confidences, reverse=True)


def test_a_loaded_run_reproduces_the_figures_exactly(finished, recipe, tmp_path):
    record, folder = finished
    deployed, splits = load_run(folder), prepare(recipe).materials[0].splits
    again = evaluate_split(deployed, splits.report, name="test")
    write_evaluation(tmp_path / "again.json", again)
    assert (tmp_path / "again.json").read_bytes() == (folder / "evaluation.json").read_bytes()
    chosen = evaluate_split(deployed, splits.minival, name="minival")
    assert {**chosen.figures, "n": chosen.n} == record.selection


def test_the_log_has_every_kind_of_event_in_its_order(finished):
    events = [
        (event["event"], event["step"])
        for event in read_events(finished[1] / "metrics.jsonl")
        if event["event"] != "step" and event.get("kind") != "best"
    ]
    evaluations = [("evaluate", step) for step in (2, 4, 6)]
    assert events == [*evaluations, ("save", 6), ("finish", 6)]
    best = [
        e["step"] for e in read_events(finished[1] / "metrics.jsonl", "save") if e["kind"] == "best"
    ]
    assert best[-1] == finished[0].best_step


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(finished, recipe, tmp_path):
    again = run(recipe, tmp_path / "again")
    assert same(weights(finished[1]), weights(tmp_path / "again"))
    assert again.figures == finished[0].figures
    run(replace(recipe, seed=1), tmp_path / "other")
    assert not same(weights(finished[1]), weights(tmp_path / "other"))


def test_runs_of_one_preparation_are_the_same(finished, recipe, tmp_path):
    prepared = prepare(recipe)
    for name in ("one", "two"):
        run(recipe, tmp_path / name, prepared=prepared)
        assert same(weights(tmp_path / name), weights(finished[1]))


def test_labels_of_the_reported_split_change_its_figures_and_nothing_else(
    finished, recipe, tmp_path
):
    materials = prepare(recipe).materials[0]
    report = materials.splits.report
    turned = replace(report, labels=(report.labels + 1) % len(CLASSES))
    other = replace(materials, splits=replace(materials.splits, report=turned))
    record = run(recipe, tmp_path / "run", prepared=prepare(recipe, materials=(other,)))
    assert same(weights(tmp_path / "run"), weights(finished[1]))
    assert record.selection == finished[0].selection
    assert record.best_step == finished[0].best_step
    assert record.figures != finished[0].figures


def test_files_that_cannot_be_read_are_counted_and_named(album, tmp_path):
    broken = shutil.copytree(album, tmp_path / "album")
    (broken / "train" / "left" / "0.png").write_bytes(b"no picture")
    (broken / "test" / "right" / "3.png").write_bytes(b"")
    record = run(tiny(broken), tmp_path / "run")
    for split, found in (("train", 36), ("val", 18), ("test", 18)):
        account = record.data[split]
        assert account["found"] == found == account["used"] + len(account["refused"])
    assert [each["name"] for each in record.data["train"]["refused"]] == ["train/left/0.png"]
    assert [each["name"] for each in record.data["test"]["refused"]] == ["test/right/3.png"]
    assert sum(map(sum, read_evaluation(tmp_path / "run" / "evaluation.json").confusion)) == 17


def test_a_file_that_breaks_while_training_is_put_on_record(album, tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_DECODED_MB", "0")
    fragile = shutil.copytree(album, tmp_path / "album")
    prepared = prepare(tiny(fragile))
    (fragile / "train" / "left" / "5.png").write_bytes(b"")
    record = run(prepared.recipe, tmp_path / "run", prepared=prepared)
    assert record.quarantined == ("train/left/5.png",)
    event = next(read_events(tmp_path / "run" / "metrics.jsonl", "refuse"))
    assert event["name"] == "train/left/5.png"
    assert event["reason"]


@pytest.mark.parametrize("name", ["a file", "a folder"])
def test_a_place_that_is_taken_is_refused_and_left_alone(album, tmp_path, name):
    place = tmp_path / "run"
    kept = place if name == "a file" else place / "thesis.tex"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(CheckpointError, match="choose another"):
        run(tiny(album), place)
    assert kept.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_a_finished_run_is_not_overwritten(finished, recipe):
    before = {path: path.stat().st_mtime_ns for path in finished[1].rglob("*")}
    with pytest.raises(CheckpointError):
        run(recipe, finished[1])
    assert {path: path.stat().st_mtime_ns for path in finished[1].rglob("*")} == before


def test_without_a_place_a_run_takes_the_next_free_one(album, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = tiny(album, {"length": "1 steps"})
    for name in ("album-1", "album-2"):
        run(recipe)
        assert (tmp_path / "runs" / name / "record.json").is_file()


def test_a_loss_that_is_not_finite_ends_the_run_unfinished(album, tmp_path):
    with pytest.raises(NonFiniteError, match="CrossEntropy"):
        run(tiny(album, {"optimizer.lr": 1e30}), tmp_path / "run")
    assert not (tmp_path / "run" / "record.json").exists()
    assert list(read_events(tmp_path / "run" / "metrics.jsonl", "step"))


def test_a_run_may_have_one_split_and_one_channel(tmp_path):
    album = draw_album(tmp_path / "album", train=12).rename(tmp_path / "whole")
    recipe = tiny(
        album / "train",
        {"data.preprocess": {"image_size": 16, "channels": 1, "mean": [0.4], "std": [0.2]}},
    )
    record = run(recipe, tmp_path / "run")
    assert record.reported_split == "test"
    assert record.data["train"]["found"] == 36
    parts = prepare(recipe).materials[0].splits
    assert len(parts.train) + len(parts.minival) + len(parts.report) == 36


@pytest.mark.parametrize("loss", [CrossEntropy(smoothing=0.1), BinaryCrossEntropy()])
@pytest.mark.parametrize("mixing", [None, Mixing(mixup=0.2)])
def test_half_precision_trains_on_the_cpu(album, tmp_path, loss, mixing):
    changes = {"method.loss": loss, "data.augment.mixing": mixing, "length": "2 steps"}
    record = run(
        tiny(album, {**changes, "execution.precision": "bf16", "model.stem_pool": None}),
        tmp_path / "run",
    )
    assert math.isfinite(record.figures["loss"])
    assert all(value.dtype != torch.bfloat16 for value in weights(tmp_path / "run").values())


@pytest.mark.slow
def test_a_compiled_run_learns_as_a_plain_one(album, finished, tmp_path):
    wide = tiny(album, {"model.width": 0.25})  # narrower ones are refused
    recipe = replace(wide, execution=replace(wide.execution, compile=True))
    record, plain = run(recipe, tmp_path / "run"), run(wide, tmp_path / "plain")
    assert record.figures == pytest.approx(plain.figures, abs=1e-3)


def test_gradient_checkpointing_changes_no_weight(recipe, finished, tmp_path):
    saving = replace(recipe, execution=replace(recipe.execution, gradient_checkpointing=True))
    record = run(saving, tmp_path / "run")
    assert record.figures == finished[0].figures
    assert same(weights(tmp_path / "run"), weights(finished[1]))


def test_tensorboard_writes_into_the_run_beside_the_view(album, tmp_path):
    pytest.importorskip("tensorboard")

    class Silent:
        def start(self, total_steps, steps_per_epoch): ...
        def step(self, step, *, loss, images_per_s, data_wait, lr): ...
        def evaluation(self, step, *, split, figures): ...
        def message(self, text): ...

    with TensorBoardView(tmp_path / "run" / "tensorboard", beside=Silent()) as view:
        run(tiny(album), tmp_path / "run", view=view)
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert events.stat().st_size > 100
