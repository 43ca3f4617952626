from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.bench.account import Account, account
from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.ghost import GhostModule
from vertebra.layers.linear_head import LinearHead
from vertebra.models.ghost_resnet import NAMED, GhostResNetSpec, ghosted
from vertebra.models.residual_blocks import BasicBlock, Branch, relu
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shelf import find_spec
from vertebra.models.shell import Place, ResidualNet, Stem

SMALL = ResNetSpec(width=0.125, depth=0.1, squeeze=0.25, form="D")
VGG_16 = (64, 64, None, 128, 128, None, *(256,) * 3, None, *(512,) * 3, None, *(512,) * 3, None)
"""Channels of its convolutions; None halves the size."""


@pytest.mark.parametrize(
    ("name", "parameters", "gmacs"),
    [("ghost_resnet50_s2", 13_953_512, 2.151), ("ghost_resnet50_s4", 8_151_752, 1.182)],
)
def test_ghost_resnet_50_costs_what_a_clean_rebuild_does(name, parameters, gmacs):
    with torch.device("meta"):
        backbone = NAMED[name].build()
        found = account(Classifier(backbone, LinearHead(2048, 1000)), image_size=224)
    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(gmacs, abs=0.0005)


class Padding(nn.Module):
    """The shortcut of ResNets for CIFAR: every other cell, and channels of zeros."""

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[1] // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, half))


def cifar_block(place: Place) -> BasicBlock:
    inner = place.channels
    return BasicBlock(
        ConvNorm(place.in_channels, inner, kernel=3, stride=place.stride, act=relu()),
        ConvNorm(inner, inner, kernel=3),
        shortcut=nn.Identity() if place.stride == 1 else Padding(),
        branch=Branch(nn.Identity(), nn.Identity()),
    )


def resnet_56() -> Classifier:
    stem = Stem({"whole": ConvNorm(3, 16, kernel=3, act=relu())}, channels=16, stride=1)
    net = ResidualNet(stem, cifar_block, blocks=(9, 9, 9), channels=(16, 32, 64), in_channels=3)
    return Classifier(net, LinearHead(64, 10))


def vgg_16(first=ConvNorm) -> nn.Sequential:
    net, given = nn.Sequential(), 3
    for channels in VGG_16:
        if channels is None:
            net.append(nn.MaxPool2d(2))
        else:
            make = first if given == 3 else ConvNorm
            net.append(make(given, channels, kernel=3, act=relu()))
            given = channels
    return net.extend([nn.Flatten(), nn.Linear(given, 10)])


def cost(net: nn.Module) -> Account:
    return account(net, image_size=32)


def test_ghost_resnet_56_costs_what_was_published():
    with torch.device("meta"):
        plain, ghost = cost(resnet_56()), cost(ghosted(resnet_56()))
    assert plain.macs / 1e6 == pytest.approx(125.49, abs=0.005)
    assert ghost.macs / 1e6 == pytest.approx(65.29, abs=0.005)
    assert (plain.parameters, ghost.parameters) == (853_018, 438_154)


def test_vgg_16_costs_what_was_published():
    with torch.device("meta"):
        plain, ghost = cost(vgg_16()), cost(ghosted(vgg_16()))
    assert plain.macs / 1e6 == pytest.approx(313.20, abs=0.005)
    assert ghost.macs / 1e6 == pytest.approx(158.44, abs=0.005)
    assert plain.parameters == 14_724_042
    assert ghost.parameters / 1e6 == pytest.approx(7.39, abs=0.005)


@pytest.mark.parametrize(
    ("ratio", "cheap_kernel", "mmacs"),
    [
        (2, 3, 157.85),
        (3, 3, 106.98),
        (4, 3, 80.17),
        (5, 3, 65.40),
        (2, 1, 156.74),
        (2, 5, 160.06),
        (2, 7, 163.38),
    ],
)
def test_ghost_vgg_16_costs_what_was_published(ratio, cheap_kernel, mmacs):
    """The paper's table counts a Ghost module in the first place as well."""
    with torch.device("meta"):
        net = vgg_16(partial(GhostModule, ratio=ratio, cheap_kernel=cheap_kernel))
        found = cost(ghosted(net, ratio=ratio, cheap_kernel=cheap_kernel))
    assert found.macs / 1e6 == pytest.approx(mmacs, abs=0.005)


def test_the_first_convolution_the_gates_and_the_given_network_stay():
    net = randomise(SMALL.build())
    before = {key: value.clone() for key, value in net.state_dict().items()}
    ghost = ghosted(net)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    kept = ghost.state_dict()
    assert torch.equal(kept["stem.first.conv.weight"], before["stem.first.conv.weight"])
    gates = [key for key in before if ".gate." in key]
    assert gates
    assert all(torch.equal(kept[key], before[key]) for key in gates)
    plain = [
        name
        for name, part in ghost.named_modules()
        if isinstance(part, ConvNorm) and not name.endswith(("primary", "cheap"))
    ]
    assert plain == ["stem.first"]


def test_ghosts_are_added_once():
    once = ghosted(SMALL.build())
    assert ghosted(once).state_dict().keys() == once.state_dict().keys()


def test_grouped_convolutions_stay():
    net = replace(find_spec("resnext50_32x4d"), width=0.125, depth=0.1).build()
    ghost = ghosted(net)
    assert isinstance(ghost.get_submodule("stages.0.0.spatial"), ConvNorm)
    assert isinstance(ghost.get_submodule("stages.0.0.reduce"), GhostModule)


def test_dtype_and_mode_stay():
    ghost = ghosted(SMALL.build().double().eval())
    assert {p.dtype for p in ghost.parameters()} == {torch.float64}
    assert not any(part.training for part in ghost.modules())


@pytest.mark.parametrize("name", ["resnet18", "resnetrs50", "ghostnet_100", "g_ghost_regnet_0_2"])
def test_maps_keep_their_shapes_in_any_network(name):
    net = replace(find_spec(name), width=0.125, depth=0.1).build()
    images = torch.randn(2, 3, 33, 50)
    for mine, other in zip(ghosted(net, ratio=3)(images).maps, net(images).maps, strict=True):
        assert mine.shape == other.shape


def test_at_ratio_one_the_network_has_the_same_parameters():
    net = SMALL.build()
    counts = [sum(p.numel() for p in each.parameters()) for each in (net, ghosted(net, ratio=1))]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ratio": 0}, "ratio=0; give a whole number"),
        ({"cheap_kernel": 4}, "cheap_kernel=4; give an odd one"),
        ({"blocks": (3, 4, 0, 3)}, "four whole numbers"),
        ({"width": 0.0}, "width=0.0; give a finite factor"),
        ({"depth": 0.0}, "depth=0.0; give a finite factor"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        GhostResNetSpec(**fields)
    assert words in str(caught.value)
