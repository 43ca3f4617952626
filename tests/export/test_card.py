"""The card says what is true, and no name in it can break it."""

import json
from dataclasses import replace

import pytest
from tests.export.drawn import CLASSES, RECORD

from vertebra.export.card import card
from vertebra.report import quantities as say

LICENSED = replace(RECORD, licence="mit")


def front(text: str) -> dict[str, object]:
    """Returns the fields between the dashes; each is one line of JSON, which YAML contains."""
    _, fields, _ = text.split("---\n", 2)
    pairs = (line.partition(": ") for line in fields.splitlines())
    return {key: json.loads(value) for key, _, value in pairs}


def test_the_front_matter_says_licence_tags_and_figures():
    found = front(card(LICENSED, CLASSES, images=20, name="ada/ants"))
    assert found["license"] == "mit"
    assert found["library_name"] == "vertebra"
    assert found["tags"] == ["vertebra", "image-classification", "resnet18"]
    assert "datasets" not in found, "a folder of one's own is no data set of the Hub"
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert model["name"] == "ants"
    assert result["dataset"]["split"] == "val"
    assert {"type": "accuracy", "value": 0.9} in result["metrics"]


def test_a_data_set_with_a_name_is_linked():
    recipe = json.loads(json.dumps(RECORD.recipe))
    recipe["phases"][0]["data"]["source"] = "cifar10"
    found = front(card(replace(LICENSED, recipe=recipe), CLASSES, images=20, name="ada/ants"))
    assert found["datasets"] == ["uoft-cs/cifar10"]


def test_the_figures_come_with_their_interval_and_split():
    text = card(LICENSED, CLASSES, images=20, name="ada/ants")
    assert f"| top-1 accuracy | 90.00% | {say.interval(0.9, 20)} |" in text
    assert "| loss | 0.25 | - |" in text
    assert "On the 20 images of the split `val` of" in text


def test_a_figure_that_cannot_be_below_one_is_left_out():
    assert "top-5" not in card(LICENSED, CLASSES, images=20, name="ada/ants")
    assert "top-5" in card(LICENSED, [*CLASSES, "d", "e", "f"], images=20, name="ada/ants")


def test_the_starting_weights_are_named_with_their_licence():
    text = card(LICENSED, CLASSES, images=20, name="ada/ants")
    assert "- **starts from**: `timm/resnet18.a1_in1k`" in text
    assert "mit. The weights that it started from (`timm/resnet18.a1_in1k`): cc-by-nc-4.0." in text
    silent = replace(LICENSED, pretrained={"source": "timm/x", "licence": None})
    assert "not stated by their publisher" in card(silent, CLASSES, images=20, name="ada/ants")
    fresh = card(replace(LICENSED, pretrained=None), CLASSES, images=20, name="ada/ants")
    assert "- **starts from**: fresh weights" in fresh
    assert fresh.partition("## Licence\n\n")[2].startswith("mit\n")


def test_names_cannot_break_out_of_the_card():
    text = card(LICENSED, CLASSES, images=20, name="ada/ants")
    assert "3: `ants`, `bees`, `a / 'b'\\n# c`" in text
    odd = replace(LICENSED, model='x"\n---\nlicense: gpl')
    assert front(card(odd, CLASSES, images=20, name="ada/ants"))["license"] == "mit"


@pytest.mark.parametrize(("count", "told"), [(200, "`c199`\n"), (203, "and 3 more in")])
def test_a_long_list_of_classes_is_cut(count, told):
    classes = [f"c{number}" for number in range(count)]
    assert told in card(LICENSED, classes, images=20, name="ada/ants")


def test_the_card_says_how_to_use_it():
    text = card(LICENSED, CLASSES, images=20, name="ada/ants")
    assert "vertebra hub pull ada/ants --out ants\n" in text
