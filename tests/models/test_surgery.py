"""Norms of any net are replaced: weights carried, statistics dropped, the argument untouched."""

from collections import OrderedDict
from dataclasses import replace

import pytest
import timm
import torch
import torchvision
from tests.models.drawn import randomise
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from vertebra.errors import RecipeError
from vertebra.layers.norm import GroupNormSpec
from vertebra.layers.squeeze_excite import SqueezeExcite
from vertebra.layers.standardised_conv import StandardisedConv2d
from vertebra.models.classifier import build_classifier
from vertebra.models.resnet import ResNetSpec
from vertebra.models.resnet_rs import resnet_rs
from vertebra.models.shelf import SHELF, find_spec
from vertebra.models.shell import ResidualBlock
from vertebra.models.surgery import is_batch_norm, replace_norms, swap_norm

SMALL = ResNetSpec(width=0.25, depth=0.1)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def norms(net: nn.Module, kind: type[nn.Module] = nn.GroupNorm) -> list[nn.Module]:
    return [module for module in net.modules() if isinstance(module, kind)]


def batch_norms(net: nn.Module) -> list[nn.Module]:
    return [module for module in net.modules() if is_batch_norm(module)]


def drawn(spec: ResNetSpec = SMALL) -> nn.Module:
    torch.manual_seed(0)
    return randomise(spec.build())


def test_parameters_are_carried_and_only_statistics_dropped():
    net = drawn(replace(SMALL, form="D", squeeze=0.25))
    swapped, report = swap_norm(net)
    before, after = net.state_dict(), swapped.state_dict()
    assert set(report.dropped) == before.keys() - after.keys()
    assert all(key.rpartition(".")[2] in STATISTICS for key in report.dropped)
    assert len(report.dropped) == 3 * len(batch_norms(net)) == 3 * len(report.norms)
    assert after.keys() < before.keys()
    assert all(torch.equal(value, before[key]) for key, value in after.items())
    assert batch_norms(swapped) == []


@pytest.mark.parametrize(
    ("name", "count", "channels", "parameters"),
    [("resnet50", 53, 26_560, 23_508_032), ("resnetrs50", 56, 26_688, 33_642_912)],
)
def test_the_count_of_norms_and_channels_is_the_one_of_the_paper(name, count, channels, parameters):
    with torch.device("meta"):
        net = find_spec(name).build()
    swapped, report = swap_norm(net)
    assert (len(report.norms), sum(each.channels for each in report.norms)) == (count, channels)
    assert sum(each.numel() for each in swapped.parameters()) == parameters
    assert sum(each.numel() for each in net.parameters()) == parameters
    floats = [each for each in net.buffers() if each.is_floating_point()]
    assert sum(each.numel() for each in floats) == 2 * channels
    assert list(swapped.buffers()) == []


def test_the_argument_stays_as_it_is_and_shares_nothing():
    net = drawn()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    swapped = swap_norm(net, standardise=True).model
    with torch.no_grad():
        for parameter in swapped.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert norms(net) == norms(net, StandardisedConv2d) == []


def test_a_scale_of_zero_stays_zero_so_that_branches_start_silent():
    net = swap_norm(SMALL.build()).model
    ends = [module.last_norm() for module in net.modules() if isinstance(module, ResidualBlock)]
    assert [norm for norm in norms(net) if not norm.weight.any()] == ends


def test_a_network_built_with_group_norms_is_one_that_was_operated_on():
    norm = GroupNormSpec(groups=8)
    for standardised in (True, False):
        spec = replace(SMALL, norm=norm, standardised=standardised)
        torch.manual_seed(0)
        built = spec.build().state_dict()
        torch.manual_seed(0)
        operated = swap_norm(SMALL.build(), norm, standardise=standardised)
        assert [*built] == [*operated.model.state_dict()]
        assert all(
            torch.equal(value, built[key]) for key, value in operated.model.state_dict().items()
        )
        assert repr(operated.model) == repr(spec.build())
        assert bool(operated.report.standardised) == standardised


def test_training_and_evaluation_give_the_same_and_samples_mind_no_neighbours():
    net = swap_norm(drawn(replace(SMALL, squeeze=0.25)), standardise=True).model
    images = torch.randn(3, 3, 40, 33)
    with torch.no_grad():
        trained, judged = net.train()(images), net.eval()(images)
        assert torch.equal(trained.vector, judged.vector)
        torch.testing.assert_close(net.train()(images[:1]).vector, trained.vector[:1])


@pytest.mark.parametrize("has_groups", [True, False])
def test_accumulated_gradients_are_those_of_the_whole_batch_with_groups_alone(has_groups):
    net = drawn()
    net = (swap_norm(net).model if has_groups else net).double()
    images, wanted = torch.randn(6, 3, 33, 33).double(), torch.randn(6, net.width).double()

    def gradients(share: int) -> list[Tensor]:
        net.zero_grad()
        for part, target in zip(images.split(share), wanted.split(share), strict=True):
            loss = (net(part).vector - target).square().mean()
            (loss * len(part) / len(images)).backward()
        return [parameter.grad.clone() for parameter in net.parameters()]

    pairs = zip(gradients(6), gradients(2), strict=True)
    agree = all(torch.allclose(one, other, rtol=1e-8, atol=1e-12) for one, other in pairs)
    assert agree == has_groups


def test_squeezed_channels_still_tell_images_apart_unless_each_is_its_own_group():
    net = drawn(replace(resnet_rs(26), width=0.5, depth=0.5))
    images = torch.randn(2, 3, 64, 64) * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)

    def spread(norm: GroupNormSpec, *, alone: bool = False) -> float:
        """Returns how far apart the two images' squeezed vectors are, by the first gate."""
        operated = swap_norm(net, norm).model
        if alone:
            for each in norms(operated):
                each.num_groups = each.num_channels
        gate = next(each for each in operated.modules() if isinstance(each, SqueezeExcite))
        seen: list[Tensor] = []
        gate.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        operated(images)
        squeezed = seen[0].mean((2, 3))
        return (squeezed[0] - squeezed[1]).abs().mean().item()

    assert spread(GroupNormSpec(), alone=True) < 1e-5
    assert spread(GroupNormSpec()) > 0.01
    assert spread(GroupNormSpec(groups=32)) > 0.01


@pytest.mark.parametrize("width", [pytest.param(1.0, marks=pytest.mark.slow), 0.25])
@pytest.mark.parametrize("name", SHELF)
def test_no_layer_of_a_model_on_the_shelf_gets_a_channel_a_group(name, width):
    with torch.device("meta"):
        net = replace(find_spec(name), width=width, depth=0.1).build()
    widths = [each.num_features for each in batch_norms(net)]
    if widths:
        replaced = replace_norms(net, GroupNormSpec(groups=32))
        assert batch_norms(net) == []
        assert [each.channels for each in replaced] == widths
    assert not any(each.num_groups == each.num_channels > 1 for each in norms(net))
    assert not any(GroupNormSpec().groups_of(each) == each > 1 for each in widths)


@pytest.mark.parametrize("name", ["efficientnet_b0", "regnety_002", "mobilenetv3_small_050"])
def test_activations_that_timm_keeps_in_the_norm_move_along(name):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=10)
    activations = [type(each) for each in net.modules() if not [*each.children()]]
    swapped, report = swap_norm(net)
    assert batch_norms(swapped) == []
    moved = [type(each) for each in swapped.modules() if not [*each.children()]]
    assert [kind for kind in moved if kind is not nn.GroupNorm] == activations
    assert "BatchNormAct2d" in report.warnings[-1]
    images = torch.randn(2, 3, 64, 64)
    swapped.train()(images).square().sum().backward()
    assert all(each.grad is not None for each in swapped.parameters())
    stem = swapped.get_submodule("stem.bn" if name == "regnety_002" else "bn1")
    x = torch.randn(2, stem.num_channels, 4, 4)
    plain = nn.functional.group_norm(x, stem.num_groups, stem.weight, stem.bias)
    torch.testing.assert_close(stem(x), stem.act(plain))


def test_the_detector_of_another_library_is_taken_too():
    net = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None
    )
    swapped, report = swap_norm(net)
    assert batch_norms(swapped) == []
    assert len(report.norms) == len(batch_norms(net))


def test_standardised_are_the_convolutions_before_a_norm():
    net = timm.create_model("resnet50d", num_classes=10)
    swapped, report = swap_norm(net, standardise=True)
    plain = [
        name
        for name, each in swapped.named_modules()
        if isinstance(each, nn.Conv2d) and not isinstance(each, StandardisedConv2d)
    ]
    assert plain == []
    assert len(report.standardised) == len(norms(swapped)) == 55
    gated = timm.create_model("seresnet18", num_classes=10)
    swapped, report = swap_norm(gated, standardise=True)
    assert len(report.standardised) == len(norms(swapped))
    assert not any(".se." in name for name in report.standardised)


def test_what_is_no_convolution_before_a_norm_is_left_as_it_is():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Identity(),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 1, groups=8),  # a single weight a filter: it would become zero
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 6, 1),
        nn.ReLU(),
        nn.BatchNorm2d(6),
        nn.Conv2d(6, 4, 1),
    )
    assert swap_norm(net, standardise=True).report.standardised == ("0",)


def test_norms_of_vectors_sequences_and_clips_are_taken():
    net = nn.ModuleDict(
        {"vector": nn.BatchNorm1d(32), "clip": nn.BatchNorm3d(32), "sync": nn.SyncBatchNorm(32)}
    )
    swapped = swap_norm(net).model
    for name, size in (("vector", ()), ("vector", (5,)), ("clip", (2, 3, 3)), ("sync", (3, 3))):
        assert swapped[name](torch.randn(2, 32, *size)).shape == (2, 32, *size)
        assert swapped[name].num_groups == 2


def test_a_frozen_norm_becomes_one_that_learns():
    frozen = FrozenBatchNorm2d(32)
    frozen.weight.fill_(2.0)
    net = nn.Sequential(frozen, timm.layers.FrozenBatchNormAct2d(32))
    swapped, report = swap_norm(net)
    assert swapped[0].weight.tolist() == [2.0] * 32
    assert all(each.requires_grad for each in swapped.parameters())
    assert len([*swapped.parameters()]) == 4
    assert swapped[1](torch.randn(2, 32, 3, 3)).min() == 0, "its activation was lost"
    assert "FrozenBatchNorm2d, FrozenBatchNormAct2d were frozen" in report.warnings[-1]


def test_device_dtype_mode_affine_and_what_learns_are_kept():
    kept = nn.BatchNorm2d(32).eval()
    kept.weight.requires_grad_(False)
    with torch.device("meta"):
        elsewhere = nn.BatchNorm2d(32, dtype=torch.bfloat16)
    net = nn.Sequential(kept, nn.BatchNorm2d(32, affine=False), elsewhere)
    first, second, third = swap_norm(net).model
    assert (first.training, second.training) == (False, True)
    assert (first.weight.requires_grad, first.bias.requires_grad) == (False, True)
    assert second.weight is None and second.bias is None
    assert third.weight.is_meta and third.weight.dtype == torch.bfloat16


def test_a_norm_that_stands_in_two_places_stays_one():
    norm = nn.BatchNorm2d(32)
    net = nn.Sequential(OrderedDict(first=norm, second=nn.Sequential(norm), third=norm))
    swapped, report = swap_norm(net)
    assert swapped.first is swapped.second[0] is swapped.third
    assert len(report.norms) == 1


def test_an_instance_norm_with_statistics_is_no_batch_norm():
    net = nn.Sequential(nn.InstanceNorm2d(8, track_running_stats=True), nn.BatchNorm2d(8))
    assert [each.name for each in swap_norm(net).report.norms] == ["1"]


def test_the_report_says_what_each_layer_was_and_became():
    _, report = swap_norm(drawn(), GroupNormSpec(channels_per_group=2))
    first = report.norms[0]
    assert (first.name, first.kind) == ("stem.whole.norm", nn.BatchNorm2d)
    assert (first.channels, first.groups) == (16, 8)
    assert sum(report.widths.values()) == len(report.norms)
    assert report.widths[16, 8] == sum(each.channels == 16 for each in report.norms)
    assert "a warm start, no conversion" in report.warnings[0]
    assert "fewer than 8 channels a group, stem.whole.norm the first" in report.warnings[2]


def test_a_network_without_batch_norms_is_refused():
    swapped = swap_norm(drawn()).model
    for net in (nn.Sequential(nn.Conv2d(3, 8, 3)), swapped, nn.BatchNorm2d(8)):
        with pytest.raises(RecipeError, match="has no batch norm inside; there is nothing"):
            replace_norms(net, GroupNormSpec())


def test_the_form_for_inference_of_an_operated_network_gives_the_same():
    net = swap_norm(drawn(), standardise=True).model.eval()
    images = torch.randn(2, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(net.fused()(images).vector, net(images).vector)
    assert norms(net.fused(), StandardisedConv2d) == []


def test_a_network_that_folds_its_own_way_still_does_with_other_norms():
    model = build_classifier(find_spec("levit_128s"), classes=3).eval()
    swapped = swap_norm(model).model.eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(swapped.fused()(images), swapped(images))
