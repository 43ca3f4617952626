"""`vertebra bench`: names, settings, what is printed and written, and what a failure does."""

import csv
import json

import pytest
import torch
from tests.cli.conftest import vertebra

from vertebra.bench.record import from_data
from vertebra.cli.subjects import Wanted, subject, wanted
from vertebra.models.published import IMAGENET, published, published_of
from vertebra.models.shelf import SHELF

QUICK = ["--budget=0.01", "--batch-size=1", "--device=cpu"]


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """No long warm-up, and a line in place of plotly's five megabytes."""
    monkeypatch.setattr("vertebra.bench.latency._WARM_UP_S", 0.0)
    monkeypatch.setattr("vertebra.report.document.get_plotlyjs", lambda: "/* plotly */")


def test_two_models_are_measured_printed_and_written(tmp_path):
    files = {name: tmp_path / f"out.{name}" for name in ("csv", "json", "html")}
    line = ["bench", "resnet18", "ghostnet_050", "--image-size=32", *QUICK]
    said = vertebra(
        *line, "--csv", files["csv"], "--json", files["json"], "--report", files["html"]
    )
    assert (said.code, said.err) == (0, "")
    assert "resnet18       32      11.69 M" in said.out
    assert "ghostnet_050   32      2.587 M" in said.out
    assert "ratios of latency to resnet18" in " ".join(said.out.split())
    records = [from_data(each) for each in json.loads(files["json"].read_text())]
    assert [each.model for each in records] == ["resnet18", "ghostnet_050"]
    assert {each.image_size for each in records} == {32}
    assert records[0].machine["device"].startswith("cpu")
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert [row["latency_ms"] for row in rows] == [str(each.latency.p50_ms) for each in records]
    page = files["html"].read_text()
    command = "vertebra bench resnet18 ghostnet_050 --image-size 32 --batch-size 1 --device cpu"
    assert command in page and "Latency against cost" in page
    for path in files.values():
        assert f"wrote {path}" in said.out


def test_a_run_is_measured_as_it_sees_images(trained, tmp_path):
    out = tmp_path / "records.json"
    assert vertebra("bench", trained[0], *QUICK, "--json", out).code == 0
    (record,) = json.loads(out.read_text())
    assert (record["model"], record["image_size"]) == (str(trained[0]), 16)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_fast_form_is_measured_and_printed(trained, tmp_path, batch_size):
    out = tmp_path / "records.json"
    flags = ["--optimized", *QUICK[:1], QUICK[2], f"--batch-size={batch_size}"]
    said = vertebra("bench", trained[0], *flags, "--json", out)
    assert (said.code, said.err) == (0, "")
    assert "form optimized" in " ".join(said.out.split())
    (record,) = json.loads(out.read_text())
    assert isinstance(record["inference_memory_mb"], float)


@pytest.mark.slow
def test_settings_reach_the_record(trained, tmp_path):
    out = tmp_path / "records.json"
    flags = ["--precision=bf16", "--channels-last", "--fused", "--threads=2"]
    said = vertebra("bench", trained[0], *flags, *QUICK, "--json", out)
    assert said.code == 0
    told = " ".join(said.out.split())
    assert "precision bf16; threads 2; layout channels last; form fused" in told
    (record,) = json.loads(out.read_text())
    assert record["settings"] == {
        "batch_size": 1,
        "precision": "bf16",
        "device": "cpu",
        "threads": 2,
        "compile": False,
        "channels_last": True,
        "fused": True,
        "optimized": False,
        "budget_s": 0.01,
    }


@pytest.mark.slow
def test_papers_accuracies_are_drawn_against_what_is_measured_here(tmp_path, monkeypatch):
    (figure,) = published_of("ghostnet_050")
    figures = tuple(figure._replace(image_size=size) for size in (32, 48))
    monkeypatch.setattr("vertebra.cli.subjects.published_of", lambda name: figures)
    out = tmp_path / "page.html"
    said = vertebra("bench", "ghostnet_050", "--published", *QUICK, "--report", out)
    assert said.code == 0, said.err
    page = out.read_text()
    assert "Accuracy against cost" in page
    assert "GhostNet (2020)" in page and '<td class="number">66.20</td>' in page
    assert "ghostnet_050 at 32 px" in page and "ghostnet_050 at 48 px" in page


def test_a_model_that_runs_out_of_memory_stops_no_other(monkeypatch):
    real = subject

    def tight(each: Wanted):
        found = real(each)
        if each.name == "resnet18":
            return found

        def build():
            raise torch.OutOfMemoryError("CUDA out of memory")

        return found.__class__(name=found.name, image_size=found.image_size, build=build)

    monkeypatch.setattr("vertebra.cli.subjects.subject", tight)
    said = vertebra("bench", "resnet152", "resnet18", "--image-size=32", *QUICK)
    assert said.code == 2
    assert "resnet152 at 32 px failed at counting its operations: out of memory" in said.out
    assert "resnet18    32      11.69 M" in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no model is named; write `vertebra bench resnet50 levit_192`, or give --published"),
        (["resnet5"], "unknown model 'resnet5'; did you mean 'resnet50'?"),
        (["some/run"], "some/run is no run directory (it has no recipe.json); give a folder that"),
        (["resnet18", "--image-size=0"], "image_size=0; give at least 1 pixel"),
        (["resnet18", "--batch-size=0"], "batch_size=0; give at least 1, or leave it out"),
        (["resnet18", "--budget=0"], "budget=0 s; give a number of seconds above 0"),
        (["resnet18", "--device=abacus"], "device 'abacus' is unknown; use auto, cpu"),
        (["resnet18", "--published", "--image-size=9"], "--published measures at the papers'"),
        (["resnet18", "--csv=."], ". is a folder; name a file to write"),
        (["timm/resnet5"], "unknown model 'timm/resnet5'; did you mean 'timm/resnet50'?"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_sentence(arguments, told, elsewhere):
    code, out, err = vertebra("bench", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {told}") and err.count("\n") == 1


def test_without_a_model_every_published_one_is_wanted_once_a_size():
    found = wanted([], image_size=None, with_figures=True)
    figures = [each for each in published() if each.training_data == IMAGENET]
    assert len(found) == len(figures) == len({(each.name, each.image_size) for each in found})
    assert {each.figure for each in found} == set(figures)


def test_a_model_of_no_paper_is_measured_without_accuracy():
    assert wanted(["resnet18"], image_size=None, with_figures=True) == [Wanted("resnet18")]


def test_each_model_has_its_own_size_unless_one_is_given():
    for name in ("resnetrs152", "levit_192"):
        assert subject(Wanted(name)).image_size == SHELF[name].image_size
    assert subject(Wanted("levit_192", 96)).image_size == 96
    assert subject(Wanted("timm/tf_efficientnet_b2")).image_size == 260


def test_a_model_named_twice_is_measured_once():
    assert len(wanted(["resnet18", "resnet18"], image_size=None, with_figures=False)) == 1


def test_families_are_those_of_the_shelf():
    names = ("resnetrs50", "timm/resnet50", "runs/photos-1")
    assert [Wanted(name).family for name in names] == ["ResNet-RS", "timm", "runs"]
