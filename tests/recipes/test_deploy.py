"""A finished run in use: loaded, judged on other images, and asked for names."""

import json
import re
import shutil
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import pytest
import torch
from PIL import Image
from tests.recipes.drawn import CLASSES, pixels, tiny

from vertebra.data.decode import BrokenImage
from vertebra.data.loader import EvaluationBatches
from vertebra.data.preprocess import Preprocess
from vertebra.engine import checkpoint
from vertebra.errors import CheckpointError, DataError, DeviceError, NonFiniteError
from vertebra.export import optimize as module
from vertebra.export.optimize import BOUNDS, FormRefused
from vertebra.export.optimize import optimize as optimized
from vertebra.recipes import apply
from vertebra.recipes.apply import evaluate_split, predict
from vertebra.recipes.deploy import load_run
from vertebra.recipes.judge import MISTAKES, PICTURE_PX, picture
from vertebra.recipes.materials import gather
from vertebra.recipes.run import run


@pytest.fixture(scope="module")
def folder(album, tmp_path_factory):
    """A run that knows left from right, and is not always right."""
    place = tmp_path_factory.mktemp("deploy") / "run"
    run(tiny(album, {"dropout": 0.5}), place)
    return place


@pytest.fixture(scope="module")
def deployed(folder):
    return load_run(folder)


@pytest.fixture(scope="module")
def report(album):
    """The images that the run reports on."""
    return gather(tiny(album).phases[0].data, seed=0).splits.report


def logits_of(deployed, split):
    batches = EvaluationBatches(split, preprocess=deployed.preprocess, batch_size=5)
    with torch.no_grad():
        return torch.cat([deployed.model(batch.images) for batch in batches])


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "run")


def test_a_loaded_run_is_the_selected_model_with_its_names(deployed, folder, album):
    assert deployed.classes == CLASSES
    assert deployed.preprocess == Preprocess(image_size=16, crop_fraction=1.0)
    assert deployed.recipe == tiny(album, {"dropout": 0.5})
    assert not any(module.training for module in deployed.model.modules())
    saved = checkpoint.load(folder / "checkpoints" / "best").tensors["model"]
    for name, value in deployed.model.state_dict().items():
        assert torch.equal(value, saved[name])


def test_a_run_needs_nothing_but_its_folder(copy, album, tmp_path, monkeypatch, report):
    monkeypatch.chdir(copy.parent)
    moved = copy.rename(tmp_path / "elsewhere")
    recipe = json.loads((moved / "recipe.json").read_text())
    recipe["phases"][0]["data"]["source"] = "gone"
    (moved / "recipe.json").write_text(json.dumps(recipe))
    assert len(list(predict(load_run("elsewhere"), report))) == len(report)


def test_answers_are_the_models(deployed, report):
    probabilities = logits_of(deployed, report).softmax(1)
    answers = list(predict(deployed, report, top=2))
    assert [answer.name for answer in answers] == list(report.names)
    for answer, row in zip(answers, probabilities, strict=True):
        best = row.sort(descending=True)
        assert answer.classes == tuple(CLASSES[place] for place in best.indices[:2])
        assert answer.probabilities == pytest.approx(best.values[:2].tolist(), abs=1e-6)


def test_there_are_at_most_as_many_answers_as_classes(deployed, report):
    answer = next(predict(deployed, report, top=9))
    assert len(answer.classes) == 3
    assert sum(answer.probabilities) == pytest.approx(1.0)


def test_figures_do_not_depend_on_the_order_of_classes_or_of_images(deployed, report):
    plain = evaluate_split(deployed, report, name="test")
    order = (2, 0, 1)  # the same classes, told in another order
    places = torch.tensor(order).argsort().numpy()
    turned = replace(
        report, classes=tuple(CLASSES[place] for place in order), labels=places[report.labels]
    ).subset(range(len(report) - 1, -1, -1))
    assert list(turned.classes) == ["right", "left", "middle"]
    other = evaluate_split(deployed, turned, name="test")
    assert other.figures == pytest.approx(plain.figures)
    assert (other.confusion, other.classes) == (plain.confusion, plain.classes)


def test_a_class_that_the_run_does_not_know_is_refused(deployed, report):
    other = replace(report, classes=("left", "middle", "up"))
    with pytest.raises(DataError, match=r"'up'.* does not have"):
        evaluate_split(deployed, other, name="test")


def test_a_class_without_images_does_no_harm(deployed, report):
    left = report.subset((report.labels == 0).nonzero()[0])
    found = evaluate_split(replace(deployed), left, name="left")
    assert [sum(row) for row in found.confusion] == [6, 0, 0]


def test_a_file_that_cannot_be_read_is_never_left_out(deployed, album, tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_DECODED_MB", "0")
    own = shutil.copytree(album, tmp_path / "album")
    split = gather(tiny(own).phases[0].data, seed=0).splits.report
    (own / "test" / "left" / "2.png").write_bytes(b"")
    with pytest.raises(BrokenImage, match=r"test/left/2\.png"):
        evaluate_split(deployed, split, name="test")
    with pytest.raises(BrokenImage, match=r"test/left/2\.png"):
        list(predict(deployed, split))


def test_mistakes_come_with_their_names_and_pictures(deployed, report):
    found = evaluate_split(deployed, report, name="test")
    predicted = logits_of(deployed, report).argmax(1)
    wrong = {report.name(n) for n in range(len(report)) if predicted[n] != report.labels[n]}
    assert 0 < len(wrong) <= MISTAKES
    assert {each.name for each in found.mistakes} == wrong
    for each in found.mistakes:
        assert each.name.split("/")[1] == each.target != each.predicted
        assert each.picture.startswith("data:image/webp;base64,")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((8, 4), (96, 48)), ((300, 100), (96, 32)), ((5, 960), (1, 96)), ((1, 5000), (1, 96))],
)
def test_a_picture_fits_its_frame(size, expected):
    assert max(expected) == PICTURE_PX
    uri = picture(Image.fromarray(pixels(0, seed=1)).resize(size))
    content = b64decode(uri.removeprefix("data:image/webp;base64,"))
    assert Image.open(BytesIO(content)).size == expected


def test_a_run_without_weights_yet_says_how_to_go_on(album, tmp_path):
    with pytest.raises(NonFiniteError):
        run(tiny(album, {"optimizer.lr": 1e38, "length": "9 steps"}), tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"no selected weights yet; .*vertebra resume"):
        load_run(tmp_path / "run")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is no run directory"):
        load_run(tmp_path)


def test_weights_that_do_not_fit_the_recipe_are_refused(copy):
    path = copy / "recipe.json"
    recipe = json.loads(path.read_text())
    recipe["model"]["width"] = 0.25
    path.write_text(json.dumps(recipe))
    with pytest.raises(CheckpointError, match="do not fit the recipe beside them"):
        load_run(copy)


@pytest.mark.parametrize("name", ["classes.json", "preprocess.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load_run(copy)


def test_damaged_weights_are_refused(copy):
    path = copy / "checkpoints" / "best" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{path} is damaged"):
        load_run(copy)


def test_another_device_can_be_asked_for(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert load_run(folder, device="cpu").device.type == "cpu"
    with pytest.raises(DeviceError, match="'cuda:3' is not there"):
        load_run(folder, device="cuda:3")


def test_the_fast_form_gives_the_same_figures_and_answers(deployed, report, monkeypatch):
    made = []

    def watched(model, images, **options):
        made.append(optimized(model, images, **options))
        return made[-1]

    monkeypatch.setattr(apply, "optimized", watched)
    plain = evaluate_split(deployed, report, name="test")
    assert evaluate_split(deployed, report, name="test", optimize=True).figures == plain.figures
    assert not made  # so few images do not make up for it
    monkeypatch.setattr(apply, "WORTH_OPTIMIZING", len(report))
    fast = evaluate_split(deployed, report, name="test", optimize=True)
    assert fast.figures == pytest.approx(plain.figures, rel=1e-5)
    assert fast.confusion == plain.confusion
    answers = predict(deployed, report, optimize=True)
    for ours, theirs in zip(answers, predict(deployed, report), strict=True):
        assert ours.classes == theirs.classes
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)
    assert len(made) == 2 and all(each.packed for each in made)


def test_a_run_in_bf16_has_a_fast_form_in_bf16_where_that_is_not_imitated(
    deployed, report, monkeypatch
):
    half = replace(deployed, execution=replace(deployed.execution, precision="bf16"))
    monkeypatch.setattr(apply, "has_bf16", lambda device: False)
    (batch,) = apply.batches(deployed, report, batch_size=len(report))
    assert apply.fast_form(half, batch.images, batch_size=8) is deployed.model
    monkeypatch.setattr(apply, "has_bf16", lambda device: True)
    monkeypatch.setattr(module, "has_bf16", lambda device: True)  # imitated, and as exact
    assert apply.fast_form(half, batch.images, batch_size=8).dtype == torch.bfloat16


def test_a_fast_form_that_answers_otherwise_is_told_and_the_network_is_taken_as_it_is(
    deployed, report, monkeypatch
):
    monkeypatch.setattr(apply, "WORTH_OPTIMIZING", len(report))
    monkeypatch.setitem(BOUNDS, "fp32", -1.0)
    told = []
    found = evaluate_split(deployed, report, name="test", optimize=True, on_refusal=told.append)
    assert found.figures == evaluate_split(deployed, report, name="test").figures
    answers = predict(deployed, report, optimize=True, on_refusal=told.append)
    assert [*answers] == [*predict(deployed, report)]
    assert len(told) == 2
    assert all(re.fullmatch(r"the network computes as it was .* -1 is allowed", t) for t in told)
    with pytest.raises(FormRefused, match="--no-optimize"):
        evaluate_split(deployed, report, name="test", optimize=True)


def test_the_fast_form_is_checked_on_the_images_that_it_is_for(deployed, report, monkeypatch):
    monkeypatch.setattr(apply, "WORTH_OPTIMIZING", len(report))
    seen = []

    def watched(model, images, **options):
        seen.append(images)
        return optimized(model, images, **options)

    monkeypatch.setattr(apply, "optimized", watched)
    evaluate_split(deployed, report, name="test", optimize=True)
    (images,) = seen
    (batch,) = apply.batches(deployed, report, batch_size=len(report))
    rows = [[torch.equal(image, each) for each in batch.images].index(True) for image in images]
    assert len(rows) == apply.CHECKED_ON and rows == sorted(rows)
    assert (rows[0], rows[-1]) == (0, len(report) - 1)


def test_memory_is_kept_from_the_first_answer_on_that_is_no_check(folder, report, monkeypatch):
    kept, answered = [], []
    monkeypatch.setattr("vertebra.engine.execution.keep_in_heap", kept.append)

    def watched(model, images, **options):
        fast = optimized(model, images, **options)
        fast.register_forward_pre_hook(lambda *_: answered.append(len(kept)))
        return fast

    monkeypatch.setattr(apply, "optimized", watched)
    monkeypatch.setattr(apply, "WORTH_OPTIMIZING", len(report))
    run = load_run(folder, keeps_memory=False)
    evaluate_split(run, report, name="test", optimize=True)
    assert answered[0] == 0 and kept == [run.device]
    assert [*predict(run, report, optimize=True)] and kept == [run.device] * 2
    load_run(folder)
    assert kept == [run.device] * 3
