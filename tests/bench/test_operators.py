import pytest
import timm
import torch
from torch import nn

from vertebra.bench.account import account
from vertebra.bench.operators import KINDS, operators
from vertebra.models.shelf import find_spec


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)

    def forward(self, images):
        tokens = images.flatten(2).transpose(1, 2)  # [N, L, C]
        q, k, v = self.qkv(tokens).chunk(3, dim=-1)
        return (q @ k.transpose(1, 2)).softmax(-1) @ v


def test_each_operator_of_a_hand_made_network_is_counted_as_its_kind():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 16, 3, padding=1, groups=8),
        nn.Conv2d(16, 8, 1, groups=4),
        Attention(8),
        nn.Linear(8, 5),
    )
    found = operators(net, image_size=(4, 6))
    sites = 4 * 6
    assert found.macs == {
        "convolution": sites * (8 * 27 + 8 * 4),
        "depthwise": sites * (8 * 9 + 16 * 9),
        "linear": sites * (8 * 24 + 8 * 5),
        "matmul": 2 * sites * sites * 8,
    }
    assert found.activations == sites * (8 + 8 + 16 + 8 + 24 + 5)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_costs_what_its_gradient_twin_does(groups):
    up = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=groups)
    found = operators(up, image_size=5, in_channels=4)
    down = operators(nn.Conv2d(6, 4, 2, stride=2, groups=groups), image_size=10, in_channels=6)
    assert found.macs["convolution"] == down.macs["convolution"] == 25 * 4 * 6 * 4 // groups
    assert found.activations == 6 * 100


def test_a_convolution_of_one_channel_is_not_depthwise():
    assert operators(nn.Conv2d(1, 4, 3), image_size=5, in_channels=1).macs["depthwise"] == 0


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "levit_128s"])
def test_the_kinds_add_up_to_the_account(name):
    with torch.device("meta"):
        net = timm.create_model(name)
    found = operators(net, image_size=224)
    assert tuple(found.macs) == KINDS
    assert sum(found.macs.values()) == account(net, image_size=224).macs


@pytest.mark.parametrize(
    ("name", "millions"), [("resnet50", 11.11), ("efficientnet_b0", 6.75), ("convnext_tiny", 13.44)]
)
def test_timm_publishes_the_same_activations(name, millions):
    with torch.device("meta"):
        net = timm.create_model(name)
    assert operators(net, image_size=224).activations / 1e6 == pytest.approx(millions, abs=0.005)


def test_a_model_of_ours_is_not_touched():
    net = find_spec("resnet18").build().train()
    operators(net, image_size=32)
    assert net.training and next(net.parameters()).device.type == "cpu"
