from dataclasses import replace

import pytest
import timm
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn

from vertebra.bench.account import Account, account
from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.layers.linear_head import LinearHead
from vertebra.models.ghostnet import (
    NAMED,
    GhostBottleneck,
    GhostNetSpec,
    HardSqueezeExcite,
    rounded,
)
from vertebra.models.weights import load_timm

FIGURES = {
    "ghostnet_050": (2_587_292, 42.33),
    "ghostnet_100": (5_182_508, 141.15),
    "ghostnet_110": (5_855_650, 166.99),
    "ghostnet_130": (7_358_820, 227.00),
}
TAPS = ("blocks.2", "blocks.4", "blocks.6", "blocks.8")
"""Where timm's networks have the outputs of bottlenecks 3, 5, 11 and 16."""


def classifier(spec: GhostNetSpec, classes: int) -> Classifier:
    backbone = spec.build()
    return Classifier(backbone, LinearHead(backbone.width, classes))


def cost(spec: GhostNetSpec) -> Account:
    with torch.device("meta"):
        return account(classifier(spec, 1000), image_size=224)


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_and_macs_are_the_published_ones(name):
    parameters, mmacs = FIGURES[name]
    found = cost(NAMED[name])
    assert found.parameters == parameters
    assert found.macs / 1e6 == pytest.approx(mmacs, abs=0.005)


def tapped(net: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Returns timm's maps and logits."""
    maps: list[Tensor] = []
    hooks = [
        net.get_submodule(tap).register_forward_hook(lambda *call: maps.append(call[2]))
        for tap in TAPS
    ]
    logits = net(images)
    for hook in hooks:
        hook.remove()
    return maps, logits


@pytest.mark.parametrize("name", ["ghostnet_050", "ghostnet_100", "ghostnet_130"])
def test_timm_and_we_give_the_same_maps_and_logits(name):
    torch.manual_seed(0)
    theirs = randomise(timm.create_model(name, num_classes=10)).eval()
    ours = classifier(NAMED[name], 10).eval()
    load_timm(ours, theirs.state_dict())
    for size in [(64, 64), (97, 75)]:
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            maps, logits = tapped(theirs, images)
            found = ours.backbone(images).maps
            torch.testing.assert_close(ours(images), logits, rtol=0, atol=1e-4)
        assert logits.std() > 0.05, "logits too alike to tell networks apart"
        for mine, other in zip(found, maps, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_the_gate_is_a_clipped_line():
    gate = randomise(HardSqueezeExcite(8, 4))
    gate.excite.bias.data = torch.linspace(-6, 6, 8)
    x = torch.randn(2, 8, 3, 3)
    squeezed = torch.relu(gate.squeeze.weight[:, :, 0, 0] @ x.mean((2, 3)).T + bias(gate.squeeze))
    before = gate.excite.weight[:, :, 0, 0] @ squeezed + bias(gate.excite)  # [C, N]
    torch.testing.assert_close(gate(x), x * (before.T / 6 + 0.5).clamp(0, 1)[..., None, None])


def bias(layer: nn.Conv2d) -> Tensor:
    return layer.bias[:, None]


@pytest.mark.parametrize(
    ("channels", "whole"), [(1, 4), (9, 12), (10, 12), (18, 20), (20.8, 20), (30, 32), (168, 168)]
)
def test_channels_are_rounded_to_fours_but_never_lose_a_tenth(channels, whole):
    assert rounded(channels) == whole


def test_no_gate_is_left_without_squeeze_and_nothing_else_changes():
    plain, gated = cost(GhostNetSpec(squeeze=None)), cost(GhostNetSpec())
    with torch.device("meta"):
        gates = [m for m in GhostNetSpec().build().modules() if isinstance(m, HardSqueezeExcite)]
    parameters = sum(p.numel() for gate in gates for p in gate.parameters())
    assert len(gates) == 7
    assert gated.parameters - plain.parameters == parameters


@pytest.mark.parametrize(
    ("depth", "counts"), [(0.1, [1, 1, 1, 1]), (1, [2, 2, 6, 5]), (1.5, [3, 3, 9, 8])]
)
def test_depth_multiplies_bottlenecks_and_keeps_the_strides(depth, counts):
    net = GhostNetSpec(width=0.1, depth=depth).build().eval()
    assert [len(stage) for stage in net.stages] == counts
    assert [each.shape[-1] for each in net(torch.zeros(1, 3, 64, 64)).maps] == [16, 8, 4, 2]


def test_without_branches_a_bottleneck_is_its_shortcut():
    net = randomise(replace(NAMED["ghostnet_050"], width=0.1).build()).eval()
    blocks = [m for m in net.modules() if isinstance(m, GhostBottleneck)]
    unprojected = [block for block in blocks if isinstance(block.shortcut, nn.Identity)]
    assert len(blocks) == 16
    assert len(unprojected) == 11
    for block in unprojected:
        for part in (block.branch.project.primary, block.branch.project.cheap):
            nn.init.zeros_(part.norm.weight)
            nn.init.zeros_(part.norm.bias)
        x = torch.randn(1, block.branch.expand.primary.conv.in_channels, 5, 5)
        assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": 0.0}, "width=0.0; give a finite factor"),
        ({"depth": float("inf")}, "depth=inf; give a finite factor"),
        ({"squeeze": 0.0}, "None for none"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        GhostNetSpec(**fields)
    assert words in str(caught.value)


def test_images_without_channels_are_refused():
    with pytest.raises(RecipeError, match="in_channels=0"):
        GhostNetSpec().build(0)
