"""A run as a server asks it: the answers of `predict`, for one image and for several."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.recipes.drawn import draw_album, tiny

from vertebra.data.decode import BrokenImage
from vertebra.data.sources import loose
from vertebra.errors import CheckpointError
from vertebra.export.answer import Answer
from vertebra.export.optimize import BOUNDS, FormRefused
from vertebra.recipes import apply, serving
from vertebra.recipes.apply import predict
from vertebra.recipes.deploy import load_run
from vertebra.recipes.run import run
from vertebra.recipes.serving import ServedRun


@pytest.fixture(scope="module")
def folder(tmp_path_factory, no_page) -> Path:
    """An album and a run that has learnt from it."""
    folder = tmp_path_factory.mktemp("served")
    album = draw_album(folder / "album", train=12, val=6)
    run(tiny(album), folder / "run")
    return folder


@pytest.fixture
def deployed(folder):
    return load_run(folder / "run", device="cpu")


def files(folder: Path) -> list[Path]:
    return sorted((folder / "album/val").rglob("*.png"))


def answers(served: ServedRun, paths: list[Path]) -> list[Answer]:
    pictures = [served.prepare(path.read_bytes(), path.name) for path in paths]
    found = served.probabilities(pictures)
    return [
        Answer.of(str(path), row, served.classes, top=9)
        for path, row in zip(paths, found, strict=True)
    ]


@pytest.mark.parametrize("count", [1, 2, 12])
def test_as_it_was_trained_the_answers_are_those_of_predict_to_the_last_digit(
    folder, deployed, count
):
    paths = files(folder)[:count]
    served = ServedRun(deployed, batch_size=32, optimize=False)
    assert not served.is_fast
    assert count <= deployed.recipe.phases[-1].pass_size, "predict takes them at once too"
    assert answers(served, paths) == [*predict(deployed, loose(paths), top=9)]


@pytest.mark.parametrize("count", [1, 2, 18])
def test_in_the_fast_form_they_differ_by_rounding(folder, deployed, count):
    paths = files(folder)[:count]
    served = ServedRun(deployed, batch_size=32)
    assert served.is_fast
    for ours, theirs in zip(
        answers(served, paths), predict(deployed, loose(paths), top=9), strict=True
    ):
        assert (ours.name, ours.classes) == (theirs.name, theirs.classes)
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=BOUNDS["fp32"])


@pytest.mark.parametrize(("batch_size", "forms"), [(1, [1]), (2, [2, 1]), (32, [32, 1])])
def test_one_image_and_several_each_have_a_fast_form(
    folder, deployed, monkeypatch, batch_size, forms
):
    made = []

    def noting(*given, batch_size, **options):
        made.append(batch_size)
        return apply.fast_form(*given, batch_size=batch_size, **options)

    monkeypatch.setattr(serving, "fast_form", noting)
    served = ServedRun(deployed, batch_size=batch_size)
    assert made == forms

    class Unused(torch.nn.Module):
        def forward(self, images):
            raise AssertionError("an image went the slow way")

    for each in (served._one, served._several):
        each._itself = (Unused(),)
    for count in {1, batch_size}:
        assert len(answers(served, files(folder)[:count])) == min(count, 18)


def test_what_is_no_image_is_told_as_predict_tells_it(deployed):
    served = ServedRun(deployed, batch_size=2, optimize=False)
    with pytest.raises(BrokenImage, match=r"x\.png is no readable image: the file is empty"):
        served.prepare(b"", "x.png")


def test_a_fast_form_that_answers_otherwise_is_refused(deployed, monkeypatch):
    monkeypatch.setitem(BOUNDS, "fp32", -1.0)
    told = []
    assert not ServedRun(deployed, batch_size=2, on_refusal=told.append).is_fast
    assert len(told) == 1 and "the network computes as it was trained" in told[0]
    with pytest.raises(FormRefused, match="--no-optimize"):
        ServedRun(deployed, batch_size=2)


def test_a_run_without_classes_is_refused(deployed):
    with pytest.raises(CheckpointError, match="the run knows no classes"):
        ServedRun(replace(deployed, classes=()), batch_size=2)


def test_it_says_what_it_is(deployed):
    facts = ServedRun(deployed, batch_size=8, optimize=False).facts()
    assert facts["classes"] == list(deployed.classes)
    assert facts["preprocess"]["image_size"] == deployed.preprocess.image_size
    assert (facts["precision"], facts["fast_form"], facts["batch_size"]) == ("fp32", False, 8)
