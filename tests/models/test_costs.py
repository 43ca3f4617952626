import pytest
import torch

from vertebra.bench.account import account
from vertebra.models.classifier import build_classifier
from vertebra.models.costs import costs
from vertebra.models.shelf import SHELF, find_spec

QUICK = {"resnet18", "resnetrs50", "ghostnet_100", "levit_128s", "convnext_tiny"}


def test_every_model_on_the_shelf_has_a_cost():
    assert list(costs()) == list(SHELF), "run scripts/costs"


@pytest.mark.parametrize(
    "name",
    [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in SHELF],
)
def test_the_table_says_what_the_layers_say(name):
    with torch.device("meta"):
        model = build_classifier(find_spec(name), classes=1000)
    found = account(model, image_size=SHELF[name].image_size)
    assert costs()[name] == (found.parameters, found.macs), "run scripts/costs"
