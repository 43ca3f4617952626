"""`vertebra models`: the shelf, and one of it."""

import json

import pytest
from tests.cli.conftest import vertebra

from vertebra.models.shelf import SHELF


def test_every_model_has_a_line_that_fits_80_columns(monkeypatch):
    monkeypatch.setattr("vertebra.report.terminal._PIPE_WIDTH", 80)
    lines = vertebra("models").out.splitlines()
    assert [line.split()[0] for line in lines[1 : len(SHELF) + 1]] == list(SHELF)
    assert max(map(len, lines)) <= 80
    assert "vertebra models NAME" in lines[-1]


def test_the_list_as_json():
    found = json.loads(vertebra("models", "--json").out)
    assert [each["name"] for each in found] == list(SHELF)
    assert found[0] == {
        "name": "resnet18",
        "family": "ResNet",
        "summary": "18 layers of basic blocks",
        "image_size": 224,
    }


def test_one_model_with_its_published_size():
    said = vertebra("models", "resnetrs50")
    assert said.out.startswith("resnetrs50: 50 layers, form D with channel gates; Revisiting")
    assert "35,691,912 parameters with 1000 classes" in said.out
    assert "2.279 billion multiply-adds at 160 px" in said.out
    assert "stage4       2048       32            5" in said.out


@pytest.mark.parametrize(("size", "sides"), [(161, [41, 21, 11, 6]), (32, [8, 4, 2, 1])])
def test_one_model_at_another_size_as_json(size, sides):
    line = ["models", "resnet18", f"--image-size={size}", "--classes=10", "--json"]
    found = json.loads(vertebra(*line).out)
    assert (found["name"], found["image_size"], found["width"]) == ("resnet18", size, 512)
    assert found["parameters"] == 11_181_642
    assert [each["side_px"] for each in found["maps"]] == sides
