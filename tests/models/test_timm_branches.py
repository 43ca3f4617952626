"""What timm merges gives the same, and leaves the network that it was copied from alone."""

import pytest
import timm
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn

from vertebra.contracts import sharing
from vertebra.models.timm import TimmSpec
from vertebra.models.timm_branches import merge_branches

SMALL = ["levit_128s", "mobileone_s0", "nextvit_small", "repghostnet_050", "repvgg_a0"]
OTHERS = [
    "efficientvim_m1",
    "efficientvit_m0",
    "fastvit_t8",
    "ghostnetv3_050",
    "iformer_t",
    "lcnetv2_small",
    "mobileone_s4",
    "repvit_m1",
    "shvit_s1",
    "tiny_vit_5m_224",
]


class Fused(nn.Module):
    """A part of somebody else, whose `fuse` is something else."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 4, 1)

    def fuse(self, maps: list[Tensor]) -> Tensor:
        return self.inner(maps[0])


@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)]
)
def test_merged_parts_give_the_same_once_and_again(name):
    torch.manual_seed(0)
    net = randomise(timm.create_model(name)).eval()
    images = torch.randn(2, *net.pretrained_cfg["input_size"])
    before = {key: value.clone() for key, value in net.state_dict().items()}
    merged = sharing(net).eval()
    with torch.no_grad():
        wanted = net(images)
        merge_branches(merged)
        found = merged(images)
        merge_branches(merged)
        again = merged(images)
        assert torch.equal(net(images), wanted)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert torch.equal(again, found)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert sum(map(_is_norm, merged.modules())) < sum(map(_is_norm, net.modules()))
    assert not any(part.training for part in merged.modules())


def _is_norm(part: nn.Module) -> bool:
    return isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)


def test_the_fused_backbone_has_its_branches_merged_and_the_same_maps():
    torch.manual_seed(0)
    net = randomise(TimmSpec(name="mobileone_s0").build()).eval()
    images = torch.randn(2, 3, 64, 64)
    fused = net.fused()
    with torch.no_grad():
        wanted, found = net(images), fused(images)
        again = fused.fused()(images)
    for one, other, twice in zip(
        (*wanted.maps, wanted.vector),
        (*found.maps, found.vector),
        (*again.maps, again.vector),
        strict=True,
    ):
        assert (one - other).abs().max() <= 1e-5 * one.abs().max()
        assert torch.equal(other, twice)
    assert not any(map(_is_norm, fused.modules()))
    assert sum(isinstance(part, nn.Conv2d) for part in fused.modules()) < 50


def test_the_methods_of_others_are_left_alone():
    net = nn.Sequential(Fused())
    merge_branches(net)
    assert isinstance(net[0], Fused)
