"""An interrupted run that goes on is, to the bit, the run that was never interrupted."""

import errno
import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image
from tests.recipes.drawn import pixels, tiny
from tests.recipes.power_cut import PowerCut, Scripted, cut, terminate

from vertebra.data.crops import RandomResizedCrop
from vertebra.data.erase import Erase
from vertebra.data.mixing import Mixing
from vertebra.data.randaugment import RandAugment
from vertebra.duration import steps
from vertebra.engine import checkpoint, disk
from vertebra.engine.averaging import Averaging
from vertebra.engine.observers import Saver
from vertebra.engine.optimizers import AdamW
from vertebra.engine.schedules import Constant, Cosine
from vertebra.errors import CheckpointError, DeviceError, Interrupted
from vertebra.recipes.deploy import load_run
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import resume, run
from vertebra.records import read_events, read_json

pytestmark = pytest.mark.usefixtures("no_page")

STEPS = 9


@pytest.fixture(scope="module")
def recipe(album):
    """Everything that draws or lasts: 3 epochs of 3 updates, looked at every other one."""
    return tiny(
        album,
        {
            "model.stochastic_depth": 0.3,
            "model.drop_block": 0.2,
            "dropout": 0.3,
            "data.augment.crop": RandomResizedCrop(),
            "data.augment.flip": 0.5,
            "data.augment.rand_augment": RandAugment(count=2, magnitude=5, reference_px=224),
            "data.augment.erase": Erase(probability=0.5),
            "data.augment.mixing": Mixing(mixup=0.4, cutmix=1.0),
            "method.loss.smoothing": 0.1,
            "optimizer": AdamW(lr=0.01),
            "schedule": Cosine(warmup=steps(2)),
            "averaging": Averaging(decay=0.9),
            "accumulate": 2,
            "fine_tuning.rate_decay": 0.7,
            "fine_tuning.frozen_levels": 1,
            "clip_norm": 1.0,
            "length": "3 epochs",
            "selection.every": "2 steps",
        },
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The run that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(recipe, folder)
    return folder


def tensors_of(folder):
    """Every tensor of both checkpoints: weights, average, optimizer, selected weights."""
    return {
        f"{kind}.{entry}.{name}": value
        for kind in ("last", "best")
        for entry, group in checkpoint.load(folder / "checkpoints" / kind).tensors.items()
        for name, value in group.items()
    }


def story_of(folder):
    """The events without what a clock or the memory says, nor the saves and resumptions."""
    timed = ("images_per_s", "data_wait", "memory_mb")
    return [
        {name: value for name, value in event.items() if name not in timed}
        for event in read_events(folder / "metrics.jsonl")
        if event["event"] in ("step", "evaluate")
    ]


def assert_same_run(folder, whole):
    found, expected = tensors_of(folder), tensors_of(whole)
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []
    assert story_of(folder) == story_of(whole)
    states = [checkpoint.load(each / "checkpoints" / "last").state for each in (folder, whole)]
    for name in ("phase", "step", "optimizer", "selector"):
        assert states[0][name] == states[1][name]
    records = [read_json(each / "record.json") for each in (folder, whole)]
    for name in ("figures", "selection", "best_step", "steps", "epochs", "data"):
        assert records[0][name] == records[1][name]
    assert (folder / "evaluation.json").read_text() == (whole / "evaluation.json").read_text()


def interrupted(recipe, folder, *, at, act=terminate):
    """Runs until the act ends it, when the view is told of that update: the next is under way."""
    with pytest.raises(PowerCut if act is cut else Interrupted):
        run(recipe, folder, view=Scripted(at, act))
    return folder


def test_everything_that_is_on_makes_a_difference(recipe, whole, tmp_path):
    run(replace(recipe, seed=recipe.seed + 1), tmp_path / "run")
    found, expected = tensors_of(tmp_path / "run"), tensors_of(whole)
    entries = {name.split(".")[1] for name in found}
    assert entries == {"method", "optimizer", "average", "model"}
    for entry in entries:
        names = [name for name in found if f".{entry}." in name]
        assert not all(torch.equal(found[name], expected[name]) for name in names)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_was_interrupted_in_an_epoch_goes_on_as_if_it_had_not(
    recipe, whole, tmp_path, workers
):
    recipe = replace(recipe, execution=replace(recipe.execution, workers=workers))
    folder = interrupted(recipe, tmp_path / "run", at=3)
    assert checkpoint.load(folder / "checkpoints" / "last").state["step"] == 4
    assert not (folder / "record.json").exists()
    view = Scripted()
    record = resume(folder, view=view)
    assert_same_run(folder, whole)
    assert record.resumed_at == (4,)
    assert view.messages == ["continues after step 4"]
    assert view.steps == [5, 6, 7, 8, 9]
    assert view.total == STEPS


def test_many_interruptions_are_as_good_as_none(recipe, whole, tmp_path):
    folder = interrupted(recipe, tmp_path / "run", at=1)
    for at in (3, 6, 9):
        with pytest.raises(Interrupted):
            resume(folder, view=Scripted(at, terminate))
    began = read_json(folder / "checkpoints" / "last" / "state.json")["clock"]["started"]
    record = resume(folder)
    assert_same_run(folder, whole)
    assert record.resumed_at == (2, 4, 7, 9)
    assert record.started == began
    assert record.train_seconds < record.total_seconds


def test_a_kill_before_the_first_save_costs_the_time_and_nothing_else(recipe, whole, tmp_path):
    folder = interrupted(recipe, tmp_path / "run", at=5, act=cut)
    assert not (folder / "checkpoints" / "last").exists()
    assert len(list(read_events(folder / "metrics.jsonl", "step"))) == 4
    assert resume(folder).resumed_at == (0,)
    assert_same_run(folder, whole)


def test_a_kill_after_a_save_goes_on_from_there(recipe, whole, tmp_path, monkeypatch):
    monkeypatch.setitem(Saver.__init__.__kwdefaults__, "seconds", 0.0)  # saves each update
    folder = interrupted(recipe, tmp_path / "run", at=5, act=cut)
    assert resume(folder).resumed_at == (4,)
    assert_same_run(folder, whole)


@pytest.fixture(scope="module")
def two_phases(recipe, album, tmp_path_factory):
    """Three updates of everything, then an epoch of plain training; and the run of both."""
    first = replace(recipe.phases[0], length=steps(3), schedule=Constant())
    plain = tiny(album, {"length": "1 epochs", "optimizer.momentum": 0.5}).phases[0]
    both = replace(recipe, phases=(first, plain))
    folder = tmp_path_factory.mktemp("two") / "run"
    run(both, folder)
    return both, folder


@pytest.mark.parametrize(
    ("at", "after", "phase"), [(1, 2, 0), (2, 3, 0), (3, 3, 0), (4, 5, 1), (6, 6, 1)]
)
def test_a_run_of_two_phases_goes_on_in_the_one_it_was_in(two_phases, tmp_path, at, after, phase):
    recipe, whole = two_phases
    folder = interrupted(recipe, tmp_path / "run", at=at)
    assert checkpoint.load(folder / "checkpoints" / "last").state["phase"] == phase
    record = resume(folder)
    assert_same_run(folder, whole)
    assert (record.resumed_at, record.steps) == ((after,), 6)
    assert record.images_per_second * record.train_seconds == pytest.approx(6 * 12)


def test_steps_of_an_interval_that_was_cut_are_not_lost(recipe, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("vertebra.recipes.phase_run.LOGGED_STEPS", 3)  # one event for 3 updates
    run(recipe, tmp_path / "whole")
    folder = interrupted(recipe, tmp_path / "run", at=5)
    resume(folder)
    told = [event["step"] for event in read_events(folder / "metrics.jsonl", "step")]
    assert told == [3, 6, 9]
    assert story_of(folder) == story_of(tmp_path / "whole")


def test_a_file_that_broke_before_the_interruption_stays_on_record(
    recipe, album, tmp_path, monkeypatch
):
    monkeypatch.setenv("VERTEBRA_DECODED_MB", "0")
    fragile = shutil.copytree(album, tmp_path / "album")
    recipe = tiny(fragile)
    prepared = prepare(recipe)
    path = fragile / "train" / "left" / "5.png"
    kept = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "run", prepared=prepared, view=Scripted(4, terminate))
    path.write_bytes(kept)
    assert resume(tmp_path / "run").quarantined == ("train/left/5.png",)


def test_what_makes_it_another_run_is_told(recipe, album, tmp_path):
    own = shutil.copytree(album, tmp_path / "album")
    folder = interrupted(tiny(own), tmp_path / "run", at=2)
    Image.fromarray(pixels(0, seed=999)).save(own / "train" / "left" / "new.png")
    path = folder / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "torch": "1.0"}))
    view = Scripted()
    resume(folder, view=view)
    told = [text.partition(" was ")[0] for text in view.messages[1:]]
    assert told == [f"not bitwise the same run: {name}" for name in ("torch", "images")]


def test_other_classes_than_those_of_the_run_are_refused(album, tmp_path):
    own = shutil.copytree(album, tmp_path / "album")
    folder = interrupted(tiny(own), tmp_path / "run", at=2)
    for split in ("train", "val", "test"):
        (own / split / "right").rename(own / split / "up")
    log = (folder / "metrics.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match=r"'right'.* the data now hold .*'up'"):
        resume(folder)
    assert (folder / "metrics.jsonl").read_bytes() == log


def test_a_run_that_has_finished_does_not_go_on(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    with pytest.raises(CheckpointError, match=f"finished; see it with `vertebra report {whole}`"):
        resume(whole)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_a_folder_without_a_run_does_not_go_on(tmp_path):
    with pytest.raises(CheckpointError, match="is no run directory"):
        resume(tmp_path)


@pytest.mark.parametrize("name", ["method.safetensors", "optimizer.safetensors", "state.json"])
def test_a_changed_byte_is_found_and_its_file_named(album, tmp_path, name):
    folder = interrupted(tiny(album), tmp_path / "run", at=2)
    path = folder / "checkpoints" / "last" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{path} is damaged"):
        resume(folder)


def test_a_changed_model_does_not_take_the_weights(album, tmp_path):
    folder = interrupted(tiny(album), tmp_path / "run", at=2)
    path = folder / "recipe.json"
    recipe = json.loads(path.read_text())
    recipe["model"]["width"] = 0.25
    path.write_text(json.dumps(recipe))
    with pytest.raises(CheckpointError, match="resume with the recipe it was saved under"):
        resume(folder)


def test_a_full_disk_costs_the_new_save_and_not_the_old_one(recipe, whole, tmp_path, monkeypatch):
    monkeypatch.setitem(Saver.__init__.__kwdefaults__, "seconds", 0.0)
    folder, write_parts = tmp_path / "run", disk.write_parts

    def filling(path, parts):
        last = folder / "checkpoints" / "last"
        if last.exists() and checkpoint.load(last).state["step"] == 4 and "optimizer" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_parts(path, parts)

    for module in ("checkpoint", "tensorfile"):
        monkeypatch.setattr(f"vertebra.engine.{module}.write_parts", filling)
    message = r"no space left: .*last needs .*last save, which is intact"
    with pytest.raises(DeviceError, match=message):
        run(recipe, folder)
    assert load_run(folder).classes
    monkeypatch.undo()
    assert resume(folder).resumed_at == (4,)
    assert_same_run(folder, whole)


def test_a_log_that_cannot_be_written_stops_the_run_before_more_is_lost(
    recipe, whole, tmp_path, monkeypatch
):
    def full(self, event, *, step, epoch, values):
        raise DeviceError(f"cannot write {self.path}: No space left on device; free some space")

    def fill():
        monkeypatch.setattr("vertebra.records.EventLog.append", full)

    folder = tmp_path / "run"
    with pytest.raises(DeviceError, match=r"cannot write .*metrics\.jsonl"):
        run(recipe, folder, view=Scripted(3, fill))
    monkeypatch.undo()
    resume(folder)
    assert_same_run(folder, whole)
