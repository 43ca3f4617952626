"""BiT is the published network: its counts, its numbers, and the order of norm and convolution."""

from dataclasses import replace

import pytest
import timm
import torch
from tests.models.drawn import randomise
from torch import nn

from vertebra.bench.account import account
from vertebra.errors import CheckpointError, RecipeError
from vertebra.layers.standardised_conv import StandardisedConv2d
from vertebra.models.bit import NAMED, BiTSpec
from vertebra.models.classifier import build_classifier
from vertebra.models.weights import load_timm

PARAMETERS = {
    "resnetv2_50x1_bit": 25_549_352,
    "resnetv2_50x3_bit": 217_319_080,
    "resnetv2_101x1_bit": 44_541_480,
    "resnetv2_101x3_bit": 387_934_888,
    "resnetv2_152x2_bit": 236_335_208,
    "resnetv2_152x4_bit": 936_533_224,
}
SMALL = BiTSpec(width=0.25, depth=0.1)


@pytest.mark.parametrize("name", NAMED)
def test_parameters_are_the_published_ones(name):
    with torch.device("meta"):
        model = build_classifier(NAMED[name], classes=1000)
    assert sum(each.numel() for each in model.parameters()) == PARAMETERS[name]


def test_parameters_with_the_classes_of_the_larger_set_are_the_published_ones():
    with torch.device("meta"):
        model = build_classifier(NAMED["resnetv2_50x1_bit"], classes=21_843)
    assert sum(each.numel() for each in model.parameters()) == 68_256_659


@pytest.mark.parametrize(
    "name", ["resnetv2_50x1_bit", pytest.param("resnetv2_152x2_bit", marks=pytest.mark.slow)]
)
def test_operations_are_those_of_timm(name):
    with torch.device("meta"):
        ours, theirs = build_classifier(NAMED[name], classes=1000), timm.create_model(name)
    assert account(ours, image_size=224).macs == account(theirs, image_size=224).macs


@pytest.mark.parametrize(("blocks", "count"), [((3, 4, 6, 3), 49), ((3, 4, 23, 3), 100)])
def test_every_norm_is_of_32_groups_and_every_filter_standardised(blocks, count):
    with torch.device("meta"):
        net = BiTSpec(blocks=blocks).build()
    norms = [each for each in net.modules() if isinstance(each, nn.GroupNorm)]
    assert [each.num_groups for each in norms] == [32] * count
    convolutions = [each for each in net.modules() if isinstance(each, nn.Conv2d)]
    assert all(isinstance(each, StandardisedConv2d) for each in convolutions)


def test_timm_and_we_give_the_same_maps_and_logits():
    torch.manual_seed(0)
    theirs = randomise(timm.create_model("resnetv2_50x1_bit", num_classes=10)).eval()
    ours = build_classifier(NAMED["resnetv2_50x1_bit"], classes=10).eval()
    load_timm(ours, theirs.state_dict())
    for size in [(64, 64), (97, 75)]:
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            maps = theirs.forward_intermediates(images, indices=[1, 2, 3, 4])[1]
            torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-4)
            encoding = ours.backbone(images)
        # maps are far from variance one, and the epsilons differ
        for mine, other in zip(encoding.maps, maps, strict=True):
            torch.testing.assert_close(mine / other.std(), other / other.std(), rtol=0, atol=1e-3)


def test_weights_of_a_classifier_with_other_classes_are_refused():
    theirs = timm.create_model("resnetv2_50x1_bit", num_classes=10)
    with pytest.raises(CheckpointError, match="have 10 classes and the model 3"):
        load_timm(build_classifier(NAMED["resnetv2_50x1_bit"], classes=3), theirs.state_dict())


@pytest.mark.parametrize(("stage", "stride"), [(0, 1), (1, 2)])
def test_a_block_is_its_equations(stage, stride):
    torch.manual_seed(0)
    block = randomise(SMALL.build()).get_submodule(f"body.stages.{stage}.0")
    state = block.state_dict()

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        groups = block.get_submodule(name).num_groups
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return nn.functional.group_norm(x, groups, weight, bias).relu()

    def convolved(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"].flatten(1)
        weight = (weight - weight.mean(1, keepdim=True)) / weight.std(1, keepdim=True, correction=0)
        weight = weight.view_as(state[f"{name}.weight"])
        padding = weight.shape[-1] // 2
        return nn.functional.conv2d(x, weight, stride=stride, padding=padding)

    x = torch.randn(2, block.norm.num_channels, 9, 7)
    with torch.no_grad():
        found = block(x.clone())
        active = normed(x, "norm")
        branch = convolved(
            normed(convolved(active, "reduce"), "spatial.norm"), "spatial.conv", stride
        )
        branch = convolved(normed(branch, "expand.norm"), "expand.conv")
        wanted = branch + convolved(active, "shortcut", stride)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_where_the_shape_stays_the_shortcut_is_the_input():
    block = replace(SMALL, depth=0.5).build().get_submodule("body.stages.0.1")
    nn.init.zeros_(block.last_norm().weight)
    x = torch.randn(2, block.out_channels, 5, 5)
    assert torch.equal(block(x), x)


def test_the_stem_pools_zeros_around_the_map_and_not_its_edge():
    stem = SMALL.build().get_submodule("body.stem")
    nn.init.zeros_(stem.conv.weight)
    stem.conv.bias = nn.Parameter(torch.full((stem.channels,), -1.0))
    found = stem(torch.randn(1, 3, 16, 16))
    assert found.shape[2:] == (4, 4)
    assert (found[:, :, 0] == 0).all() and (found[:, :, :, 0] == 0).all()
    assert (found[:, :, 1:-1, 1:-1] == -1).all()


def test_maps_are_not_normalised_and_the_vector_is():
    net = randomise(SMALL.build()).eval()
    encoding = net(torch.randn(2, 3, 64, 64))
    assert encoding.maps[-1].min() < 0
    assert encoding.vector.min() >= 0
    assert [type(level) for level in net.levels()][-1] is nn.GroupNorm


@pytest.mark.parametrize("width", [0.125, 0.25, 0.3, 1.5])
def test_any_width_has_groups_of_two_channels_or_more(width):
    with torch.device("meta"):
        net = replace(SMALL, width=width).build()
    norms = [each for each in net.modules() if isinstance(each, nn.GroupNorm)]
    assert min(each.num_channels // each.num_groups for each in norms) >= 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": 0.0}, "width=0.0; give a finite factor"),
        ({"depth": -1.0}, "depth=-1.0; give a finite factor"),
        ({"blocks": (3, 4, 0, 3)}, "four whole numbers"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        BiTSpec(**fields)
    assert words in str(caught.value)


def test_images_without_channels_are_refused():
    with pytest.raises(RecipeError, match="in_channels=0"):
        SMALL.build(0)
