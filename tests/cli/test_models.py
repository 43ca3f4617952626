"""`vertebra models`: the shelf, filtered and sorted, and one of it."""

import json

import pytest
from tests.cli.conftest import vertebra

from vertebra.models.costs import costs
from vertebra.models.shelf import SHELF


def listed(*words: str) -> list[str]:
    return [each["name"] for each in json.loads(vertebra("models", "--json", *words).out)]


def test_every_model_has_a_line_that_fits_80_columns(monkeypatch):
    monkeypatch.setattr("vertebra.report.terminal._PIPE_WIDTH", 80)
    lines = vertebra("models").out.splitlines()
    assert [line.split()[0] for line in lines[1 : len(SHELF) + 1]] == list(SHELF)
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith(f"{len(SHELF)} of {len(SHELF)} models")


def test_the_list_as_json():
    found = json.loads(vertebra("models", "--json").out)
    assert [each["name"] for each in found] == list(SHELF)
    assert found[0] == {
        "name": "resnet18",
        "family": "ResNet",
        "summary": "18 layers of basic blocks",
        "image_size": 224,
        "parameters": 11_689_512,
        "macs": 1_814_073_344,
    }


def test_filters_keep_a_family_and_what_is_small_enough():
    assert listed("--family", "resnet-rs") == [
        name for name in SHELF if "ResNet-RS" in SHELF[name].family.name
    ]
    small = listed("--max-parameters", "12M", "--max-macs=1.9G")
    assert "resnet18" in small
    assert "resnet18d" not in small
    assert all(costs()[name].parameters <= 12e6 for name in small)


@pytest.mark.parametrize("order", ["parameters", "macs"])
def test_sorting_goes_from_small_to_large(order):
    found = [getattr(costs()[name], order) for name in listed("--sort", order)]
    assert found == sorted(found)
    assert len(found) == len(SHELF)


def test_sorting_by_name():
    assert listed("--sort", "name") == sorted(SHELF)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--family", "resnetrs"], "no family is called 'resnetrs'; did you mean 'ResNet-RS'?"),
        (["--max-macs", "3x"], "max_macs='3x' is no amount; write one as 30M or 4.5G"),
        (["show"], "names 0 models; write `vertebra models show NAME`"),
        (["show", "resnet18", "resnet34"], "names 2 models; write `vertebra models show NAME`"),
        (["show", "resnet81"], "unknown model 'resnet81'; did you mean"),
        (["resnet18", "--image-size=0"], "image_size=0; give at least 1 pixel"),
        (["--operators"], "write `vertebra models show NAME --operators`"),
    ],
)
def test_a_slip_gets_one_sentence(words, sentence):
    said = vertebra("models", *words)
    assert said.code == 2
    assert sentence in said.err


@pytest.mark.parametrize("words", [["resnetrs50"], ["show", "resnetrs50"]])
def test_one_model_with_its_published_size(words):
    said = vertebra("models", *words)
    assert said.out.startswith("resnetrs50: 50 layers, form D with channel gates; Revisiting")
    assert "35,691,912 parameters with 1000 classes" in said.out
    assert "2.279 billion multiply-adds at 160 px" in said.out
    assert "stages.3   3 x Bottleneck     2048 x 5 x 5      21.26 M   419.2 M" in said.out


@pytest.mark.parametrize(("size", "sides"), [(161, [41, 21, 11, 6]), (32, [8, 4, 2, 1])])
def test_one_model_at_another_size_as_json(size, sides):
    line = ["models", "resnet18", f"--image-size={size}", "--classes=10", "--json"]
    found = json.loads(vertebra(*line).out)
    assert (found["name"], found["image_size"], found["width"]) == ("resnet18", size, 512)
    assert found["parameters"] == 11_181_642
    assert [each["side_px"] for each in found["maps"]] == sides
    assert [each["shape"] for each in found["levels"][1:5]] == [
        [64 * 2**stage, side, side] for stage, side in enumerate(sides)
    ]


def test_the_operators_of_a_model_or_a_run_say_which_are_not_everywhere(trained):
    for subject in ("resnet18", trained[0]):
        rows = json.loads(vertebra("models", "show", subject, "--operators", "--json").out)
        everywhere = {row["operator"]: row["everywhere"] for row in rows}
        assert everywhere["3x3 convolution"]
        assert not everywhere["addition"]
    said = vertebra("models", "show", "resnet18", "--operators").out
    assert said.splitlines()[-1] == "4 of 9 operators are not on every accelerator"
