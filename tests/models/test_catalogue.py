"""The table of published weights: it says what timm says, and loads into what is on the shelf."""

import subprocess
import sys

import pytest
import timm
import torch
from timm.models import get_pretrained_cfg

from vertebra.errors import CheckpointError
from vertebra.models import resnest, sknet
from vertebra.models.catalogue import catalogue, catalogue_of, choose, training_data
from vertebra.models.classifier import build_classifier
from vertebra.models.shelf import SHELF, find_spec
from vertebra.models.timm_library import stated_licence, weights_of
from vertebra.models.weights import load_timm

RENAMED = {**resnest.TIMM_NAMES, **sknet.TIMM_NAMES}
NAMES = list(dict.fromkeys(each.model for each in catalogue()))


def test_every_model_is_on_the_shelf_and_its_weights_stand_together():
    assert [name for name in SHELF if name in NAMES] == NAMES
    assert [each for name in NAMES for each in catalogue_of(name)] == list(catalogue())


@pytest.mark.parametrize("weights", catalogue(), ids=lambda each: each.source)
def test_the_table_says_what_timm_says(weights):
    theirs = get_pretrained_cfg(weights.source.removeprefix("timm/"))
    assert (theirs.hf_hub_id, theirs.hf_hub_filename) == (weights.repository, None)
    assert stated_licence(theirs.license) == weights.licence
    assert theirs.num_classes == weights.classes
    assert theirs.input_size == (3, weights.image_size, weights.image_size)
    assert (theirs.mean, theirs.std) == (weights.mean, weights.std)
    assert (theirs.interpolation, theirs.crop_pct) == (weights.interpolation, weights.crop)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_weights_are_the_default_of_timm(name):
    theirs = RENAMED.get(name, name)
    assert catalogue_of(name)[0].source == weights_of(theirs)[0].source
    assert {each.source for each in catalogue_of(name)} == {
        each.source for each in weights_of(theirs)
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_weights_of_timm_have_the_names_and_shapes_of_ours(name):
    with torch.device("meta"):
        model = build_classifier(find_spec(name), classes=10)
        theirs = timm.create_model(RENAMED.get(name, name), num_classes=10)
    load_timm(model, theirs.state_dict())


@pytest.mark.parametrize("wanted", ["tv2_in1k", "timm/resnet50.tv2_in1k"])
def test_weights_go_by_their_tag_and_by_their_source(wanted):
    found = choose(wanted, catalogue_of("resnet50"), model="resnet50")
    assert found.source == "timm/resnet50.tv2_in1k"
    assert found.licence == "bsd-3-clause"


def test_weights_of_torchvision_go_by_its_names_too():
    wanted = "torchvision/ResNet50_Weights.IMAGENET1K_V2"
    assert choose(wanted, catalogue_of("resnet50"), model="resnet50").tag == "tv2_in1k"


def test_an_unknown_tag_gets_the_nearest_and_a_model_without_weights_a_sentence():
    with pytest.raises(CheckpointError, match="has no weights 'a1_1k'; did you mean 'a1_in1k'"):
        choose("a1_1k", catalogue_of("resnet50"), model="resnet50")
    with pytest.raises(CheckpointError, match="no published weights of resnet50a"):
        choose("default", catalogue_of("resnet50a"), model="resnet50a")


def test_a_licence_that_is_not_stated_stays_open():
    assert choose("bamboo", catalogue_of("resnet50"), model="resnet50").licence is None


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("a1_in1k", "in1k"),
        ("fb_in22k_ft_in1k_384", "in22k_ft_in1k"),
        ("fb_swsl_ig1b_ft_in1k", "ig1b_ft_in1k"),
        ("clip_laion2b_augreg_ft_in12k_in1k", "laion2b_ft_in12k_in1k"),
        ("openai_ft_in1k", "ft_in1k"),
        ("mae", None),
        ("", None),
    ],
)
def test_the_training_data_are_read_from_the_tag(tag, data):
    assert training_data(tag) == data


def test_the_table_is_read_without_torch():
    code = "import sys; from vertebra.models.catalogue import catalogue; catalogue(); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
