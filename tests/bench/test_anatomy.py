import pytest
import torch

from vertebra.bench.account import account
from vertebra.bench.anatomy import anatomy
from vertebra.contracts import Classifier
from vertebra.tasks.classify import create_model


def on_meta(name: str) -> Classifier:
    with torch.device("meta"):
        return create_model(name, num_classes=7)


@pytest.mark.parametrize("name", ["resnet18", "resnetrs50"])
def test_levels_add_up_to_the_whole(name):
    whole = account(on_meta(name), image_size=96)
    levels = anatomy(on_meta(name), image_size=96)
    assert sum(level.parameters for level in levels) == whole.parameters
    assert sum(level.macs for level in levels) == whole.macs


def test_levels_are_described_by_what_they_hold_and_give():
    levels = anatomy(on_meta("resnet18"), image_size=100)
    assert [level.name for level in levels] == ["stem", *map("stages.{}".format, range(4)), "head"]
    assert [level.layers for level in levels[:2]] == ["ConvNorm, MaxPool2d", "2 x BasicBlock"]
    assert [level.shape for level in levels[3:]] == [(256, 7, 7), (512, 4, 4), (7,)]
