"""Runs that start from weights, of an earlier run or published: loaded once, and on record."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from tests.recipes.drawn import CLASSES, SMALLEST, draw_album, tiny

from vertebra.engine import checkpoint
from vertebra.errors import CheckpointError, Interrupted, RecipeError
from vertebra.models.pretrained import PretrainedReport
from vertebra.recipes import start
from vertebra.recipes.apply import evaluate_split
from vertebra.recipes.deploy import load_run
from vertebra.recipes.prepare import prepare
from vertebra.recipes.recipe import Pretrained
from vertebra.recipes.run import resume, run
from vertebra.recipes.start import look_up
from vertebra.records import RunDirectory, read_events, read_json, read_record, write_record

pytestmark = pytest.mark.usefixtures("no_page")

STILL = {"optimizer.lr": 1e-12, "length": "1 steps", "optimizer.weight_decay": 0.0}
"""An update that moves no weight by more than rounding."""


@pytest.fixture(scope="module")
def source(album, tmp_path_factory):
    """The folder of a run that others start from; leave it alone."""
    folder = tmp_path_factory.mktemp("start") / "source"
    run(tiny(album, {"seed": 3, "data.preprocess.mean": [0.5, 0.4, 0.3]}), folder)
    return folder


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory):
    """Images of two of the three classes."""
    folder = draw_album(tmp_path_factory.mktemp("two") / "album", train=8, val=4, test=4)
    for split in ("train", "val", "test"):
        shutil.rmtree(folder / split / "middle")
    return folder


def weights(folder):
    return checkpoint.load(folder / "checkpoints" / "best").tensors["model"]


def tuned(data, weights, changes=None):
    """Returns a recipe that starts from the weights, with changes."""
    return tiny(data, {"pretrained": {"weights": str(weights)}, **(changes or {})})


class Interrupter:
    """A view that sends a signal after an update, and keeps what it is told."""

    def __init__(self, at=None):
        self.at = at
        self.messages = []

    def start(self, total_steps, steps_per_epoch): ...

    def step(self, step, *, loss, images_per_s, data_wait, lr):
        if step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)

    def evaluation(self, step, *, split, figures): ...

    def message(self, text):
        self.messages.append(text)


def test_a_run_starts_from_the_selected_weights_of_another(source, album, tmp_path):
    view = Interrupter()
    run(tuned(album, source, STILL), tmp_path / "run", view=view)
    theirs, ours = weights(source), weights(tmp_path / "run")
    for name, value in theirs.items():
        if value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(ours[name], value, atol=1e-9, rtol=0)
    head = "with its head for the same 3 classes"
    assert [text for text in view.messages if head in text and str(source) in text]


def test_other_classes_get_a_fresh_head_drawn_from_the_seed(source, two_classes, tmp_path):
    recipe = tuned(two_classes, source, STILL)
    view = Interrupter()
    run(recipe, tmp_path / "run", view=view)
    theirs, ours = weights(source), weights(tmp_path / "run")
    fresh = prepare(recipe).new_model().state_dict()
    for name, value in ours.items():
        if value.is_floating_point() and "running" not in name:
            expected = fresh if name.startswith("head") else theirs
            torch.testing.assert_close(value, expected[name], atol=1e-9, rtol=0)
    assert "a fresh head for 2 classes in place of its 3" in view.messages[0]


def test_the_same_classes_in_another_order_are_other_classes(source, album, tmp_path):
    copied = shutil.copytree(source, tmp_path / "source")
    (copied / "classes.json").write_text(json.dumps(list(reversed(CLASSES))))
    recipe = tuned(album, copied)
    model = prepare(recipe).new_model()
    fresh = model.head.fc.weight.clone()
    start.load_start(model, recipe, recipe.pretrained, classes=CLASSES)
    assert torch.equal(model.head.fc.weight, fresh)


def test_the_record_names_the_source_and_passes_its_licence_on(source, album, tmp_path):
    licensed = shutil.copytree(source, tmp_path / "mine")
    record = read_record(RunDirectory(licensed))
    assert (record.pretrained, record.licence) == (None, None)
    write_record(RunDirectory(licensed), replace(record, licence="cc-by-4.0"))
    once = run(tuned(album, licensed, STILL), tmp_path / "once")
    assert once.pretrained == {"source": "the run mine", "licence": "cc-by-4.0"}
    assert read_record(RunDirectory(tmp_path / "once")) == once
    twice = run(tuned(album, tmp_path / "once", STILL), tmp_path / "twice")
    assert twice.pretrained == {
        "source": "the run once, which started from the run mine",
        "licence": "cc-by-4.0",
    }


def test_a_resumed_run_is_bitwise_the_same_and_needs_the_source_no_more(source, album, tmp_path):
    copied = shutil.copytree(source, tmp_path / "source")
    changes = {"fine_tuning.rate_decay": 0.5, "fine_tuning.frozen_levels": 2}
    recipe = tuned(album, copied, {**changes, "averaging": {"decay": 0.5}, "accumulate": 2})
    run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "run", view=Interrupter(at=3))
    shutil.rmtree(copied)
    record = resume(tmp_path / "run")
    assert record.pretrained == {"source": "the run source", "licence": None}
    for kind in ("best", "last"):
        one, other = (
            checkpoint.load(tmp_path / name / "checkpoints" / kind).tensors
            for name in ("whole", "run")
        )
        assert one.keys() == other.keys()
        for entry, group in one.items():
            assert [
                name for name in group if not torch.equal(group[name], other[entry][name])
            ] == []
    frozen = weights(tmp_path / "run")
    theirs = weights(source)
    for name in [
        each for each in theirs if each.startswith(("backbone.stem", "backbone.stages.0"))
    ]:
        assert torch.equal(frozen[name], theirs[name])


def test_a_run_that_was_cut_off_before_its_first_save_starts_again(source, album, tmp_path):
    recipe = tuned(album, source)
    run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "run", view=Interrupter(at=2))
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "last")
    record = resume(tmp_path / "run")
    assert record.pretrained["source"] == "the run source"
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert len([*read_events(tmp_path / "run" / "metrics.jsonl", "start")]) == 2


def test_a_finished_run_is_used_without_what_it_started_from(source, album, tmp_path):
    copied = shutil.copytree(source, tmp_path / "source")
    record = run(tuned(album, copied, STILL), tmp_path / "run")
    shutil.rmtree(copied)
    deployed = load_run(tmp_path / "run")
    report = prepare(tiny(album)).materials[0].splits.report
    assert evaluate_split(deployed, report, name="test").figures == record.figures


@pytest.mark.parametrize("what", ["absent", "empty"])
def test_weights_that_are_not_there_leave_nothing_behind(album, tmp_path, what):
    place = tmp_path / "gone.safetensors"
    if what == "empty":
        place = tmp_path / "empty"
        place.mkdir()
    recipe = tuned(album, place)
    with pytest.raises(CheckpointError, match=place.name):
        look_up(recipe, recipe.pretrained)
    with pytest.raises(CheckpointError, match=place.name):
        run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_model_says_which(source, album):
    recipe = tuned(album, source, {"model.width": 0.25})
    told = r"source holds resnet18 with .*width=0\.125, which does not fit resnet18 with .*=0\.25"
    with pytest.raises(CheckpointError, match=told):
        look_up(recipe, recipe.pretrained)


def test_a_run_on_images_of_another_kind_says_so(source, album):
    grey = {"channels": 1, "mean": [0.5], "std": [0.5]}
    recipe = tuned(album, source, {"data.preprocess": grey})
    with pytest.raises(CheckpointError, match="images of 3 channels and the recipe gives 1"):
        look_up(recipe, recipe.pretrained)


def test_what_the_weights_expect_is_known_before_any_image_is_read(source, album):
    recipe = tuned("nowhere", source)
    found = look_up(recipe, recipe.pretrained)
    assert (found.image_size, found.mean) == (16, (0.5, 0.4, 0.3))


def test_published_weights_are_asked_for_by_the_nearest_name(album, tmp_path, monkeypatch):
    asked = []

    def published(model, *, name, weights, download):
        asked.append((name, weights, download, model.head.fc.out_features))
        with torch.no_grad():
            model.head.fc.bias.fill_(7.0)
        return PretrainedReport(("loaded",), "timm/x.y", "apache-2.0", 224, None, None)

    monkeypatch.setattr(start, "load_pretrained", published)
    recipe = tiny(album, {**STILL, "pretrained": Pretrained(weights="y")})
    look_up(recipe, recipe.pretrained, download=True)
    record = run(recipe, tmp_path / "run")
    assert asked == [("resnet18", "y", True, 1), ("resnet18", "y", False, 3)]
    assert record.pretrained == {"source": "timm/x.y", "licence": "apache-2.0"}
    torch.testing.assert_close(weights(tmp_path / "run")["head.fc.bias"], torch.full((3,), 7.0))


def test_weights_need_a_name():
    with pytest.raises(RecipeError, match="weights=''; name some"):
        Pretrained(weights="")


def test_more_frozen_levels_than_there_are_is_refused_before_training(album):
    recipe = tiny(album, {"fine_tuning.frozen_levels": 9})
    assert recipe.model == SMALLEST
    with pytest.raises(RecipeError, match="frozen_levels=9, but the backbone has 5"):
        prepare(recipe)


def test_the_stored_recipe_says_where_the_run_started(source, album, tmp_path):
    run(tuned(album, source, STILL), tmp_path / "run")
    stored = read_json(tmp_path / "run" / "recipe.json")
    assert stored["pretrained"] == {"kind": "Pretrained", "weights": str(source)}
