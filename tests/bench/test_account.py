import copy

import pytest
import torch
import torchvision
from torch import nn

from vertebra.bench.account import account


def test_a_hand_made_network_costs_what_a_hand_counts():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 1, groups=4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    found = account(net, image_size=(8, 6))
    strided, grouped, linear = 4 * 3 * 8 * 27, 4 * 3 * 8 * 2, 8 * 5
    assert found.parameters == (8 * 27 + 8) + 16 + (8 * 2 + 8) + (8 * 5 + 5)
    assert found.macs == strided + grouped + linear
    assert found.macs_by_part == {"0": strided, "2": grouped, "5": linear}


@pytest.mark.parametrize(
    ("name", "image_size"), [("mobilenet_v3_small", 224), ("vit_b_16", 224), ("resnet18", 224)]
)
def test_torchvision_publishes_the_same_costs(name, image_size):
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    with torch.device("meta"):
        net = torchvision.models.get_model(name)
    found = account(net, image_size=image_size)
    assert found.parameters == published["num_params"]
    assert found.macs / 1e9 == pytest.approx(published["_ops"], rel=0.01)


def test_the_model_stays_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = copy.deepcopy(net.state_dict())
    account(net, image_size=9, in_channels=1)
    assert all(module.training for module in net.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_shared_parameters_count_once():
    layer = nn.Conv2d(4, 4, 1, bias=False)
    found = account(nn.Sequential(layer, layer), image_size=5, in_channels=4)
    assert (found.parameters, found.macs) == (16, 2 * 25 * 16)


def test_half_precision_costs_the_same():
    net = nn.Conv2d(3, 4, 3, padding=1)
    assert account(net.bfloat16(), image_size=7).macs == account(net.float(), image_size=7).macs
