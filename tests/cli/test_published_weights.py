"""`vertebra models --pretrained`: what can be loaded, and under which licence."""

import json

import pytest
from tests.cli.conftest import vertebra

from vertebra.models.catalogue import catalogue, catalogue_of


def test_every_published_weight_has_a_line():
    lines = vertebra("models", "--pretrained").out.splitlines()
    assert lines[0].split() == [
        "model",
        "weights",
        "licence",
        "learnt",
        "from",
        "top-1",
        "at",
        "px",
    ]
    assert [line.split()[:2] for line in lines[1 : len(catalogue()) + 1]] == [
        [each.model, each.source] for each in catalogue()
    ]
    assert "--pretrained [--weights WEIGHTS]" in lines[-1]


def test_what_is_not_stated_is_said_to_be():
    lines = vertebra("models", "--pretrained", "resnet50").out.splitlines()
    bamboo = next(line for line in lines if "bamboo" in line)
    assert bamboo.split()[2:] == ["not", "stated", "bamboo", "224"]


def test_the_weights_of_one_model_as_json():
    found = json.loads(vertebra("models", "--pretrained", "levit_192", "--json").out)
    assert [each["source"] for each in found] == [each.source for each in catalogue_of("levit_192")]
    assert found[0]["licence"] == "apache-2.0"
    assert found[0]["training_data"] == "in1k"
    assert found[0]["image_size"] == 224


def test_weights_of_timm_come_from_timm():
    lines = vertebra("models", "--pretrained", "timm/test_vit").out.splitlines()
    assert lines[1].split()[:4] == [
        "timm/test_vit",
        "timm/test_vit.r160_in1k",
        "apache-2.0",
        "in1k",
    ]


@pytest.mark.parametrize(
    ("name", "nearest"), [("levit_19", "levit_192"), ("timm/test_vti", "timm/test_vit")]
)
def test_a_misspelt_name_gets_the_nearest(name, nearest):
    failed = vertebra("models", "--pretrained", name)
    assert failed.code == 2
    assert f"did you mean {nearest!r}?" in failed.err
