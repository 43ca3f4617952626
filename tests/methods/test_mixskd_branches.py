"""What MixSKD adds to a network: it suits any backbone."""

import pytest
import torch
from tests.methods.pyramid import START, K, N, Pyramid, classifier, drawn, pyramid
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Classifier, MapSpec
from vertebra.errors import RecipeError
from vertebra.methods.mixskd import MixSKDSpec
from vertebra.methods.mixskd_branches import BranchSpec, Discriminator, MapBranch
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shelf import BackboneSpec
from vertebra.models.timm import TimmSpec


@pytest.mark.parametrize(
    "strides", [(4, 8, 16, 32), (16,), (4, 4, 4), (2, 6, 14), (3, 4, 5), (1, 16), (4, 10)]
)
@pytest.mark.parametrize("size", [(64, 64), (33, 47), (17, 5), (1, 1)])
def test_branches_have_the_shape_of_the_last_map(strides, size):
    method = pyramid(*strides)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    sight = method.look(images)
    last = method.model.backbone(images).maps[-1]
    assert [each.shape for each in sight.features] == [last.shape] * len(strides)
    assert [each.shape for each in sight.logits] == [(2, K)] * len(strides)
    assert len(method.branches) == len(strides) - 1


def test_a_branch_halves_where_it_can_and_averages_the_rest():
    maps = [MapSpec("a", 4, 4), MapSpec("b", 8, 8), MapSpec("c", 16, 40)]
    branch = MapBranch(maps, BranchSpec(units=2))
    strides = [unit.spatial.conv.stride[0] for unit in branch.units]
    assert strides == [2, 1, 2, 2]
    assert [unit.out_channels for unit in branch.units] == [8, 8, 16, 16]
    x = torch.randn(2, 4, 40, 40)
    assert branch(x, (4, 4)).shape == (2, 16, 4, 4)
    assert_close(branch(x, (4, 4)), F.adaptive_avg_pool2d(branch.units(x), 4))
    assert torch.equal(branch(x, (5, 5)), branch.units(x))


SMALL: list[BackboneSpec] = [
    ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125),
    TimmSpec(name="test_vit"),
]


@pytest.mark.parametrize("spec", SMALL, ids=["resnet", "transformer"])
def test_real_networks_learn_from_images_of_odd_sizes(spec):
    torch.manual_seed(0)
    method = MixSKDSpec().build(classifier(spec.build()))
    batch = drawn(37, 53, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, parts = method(batch, START)
    total.backward()
    assert total.dtype == torch.float32
    assert total.isfinite()
    assert list(parts) == ["labels", "mixed_labels", "agreement", "features"]
    assert [n for n, p in method.named_parameters() if p.grad is None] == []


def test_a_head_with_batch_statistics_is_asked_for_its_classes_and_left_as_it_was():
    backbone = Pyramid(4, 8)
    head = nn.Sequential(nn.BatchNorm1d(backbone.width), nn.Linear(backbone.width, 7))
    before = {name: value.clone() for name, value in head.state_dict().items()}
    method = MixSKDSpec().build(Classifier(backbone, head))
    assert head.training
    assert method.self_teacher.head.linear.fc.out_features == 7
    assert all(torch.equal(before[name], value) for name, value in head.state_dict().items())


def test_one_map_has_no_branch_and_none_is_refused():
    assert len(pyramid(8).self_teacher.fuse.weight[0]) == 3
    with pytest.raises(RecipeError, match="reads a network's maps and Pyramid declares none"):
        pyramid()


def test_the_self_teacher_is_one_convolution_and_one_linear_map():
    method = pyramid(2, 4, 8)
    fuse = method.self_teacher.fuse
    assert fuse.weight.shape == (5, 3 * 5, 1, 1)
    assert fuse.bias is None
    maps = [torch.randn(2, 5, 3, 2, dtype=torch.float64) for _ in range(3)]
    doubled = method.self_teacher([2 * each for each in maps])
    bias = method.self_teacher.head.linear.fc.bias
    assert_close(doubled - bias, 2 * (method.self_teacher(maps) - bias))


def test_the_network_is_taught_to_deceive_the_discriminator_and_the_discriminator_to_tell():
    judge, x = Discriminator(5), torch.randn(N, 5, 2, 2, requires_grad=True)
    found = judge(x)
    plain = judge.outer(judge.inner(x.mean((2, 3))).relu()).squeeze(1)
    assert torch.equal(found, plain)
    goal = torch.tensor([1.0, 0.0] * 3)
    parts = [x, *judge.parameters()]
    ours, usual = (
        torch.autograd.grad(F.binary_cross_entropy_with_logits(each, goal), parts)
        for each in (found, plain)
    )
    assert_close(ours[0], -usual[0])
    for mine, theirs in zip(ours[1:], usual[1:], strict=True):
        assert_close(mine, theirs)
