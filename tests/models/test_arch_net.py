"""Arch-Net: its operators, its shapes, and that it reproduces the network that it stands for."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tests.models.drawn import randomise
from torch import nn
from torch.testing import assert_close

from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.norm import GroupNormSpec
from vertebra.models.arch_net import ArchNetSpec
from vertebra.models.arch_net_start import start_from
from vertebra.models.arch_net_targets import outputs, parts
from vertebra.models.classifier import build_classifier
from vertebra.models.operators import operators, require_supported
from vertebra.models.resnet import NAMED, ResNetSpec
from vertebra.models.shelf import title
from vertebra.models.specs import ModelSpec
from vertebra.recipes.codec import from_data, to_data

K = 5
SIZES = [(1, 1), (33, 33), (64, 50)]
KINDS = {
    "basic": ResNetSpec(block="basic", blocks=(2, 1, 1, 1), width=0.125),
    "A": ResNetSpec(blocks=(1, 1, 1, 1), form="A", width=0.125),
    "C": ResNetSpec(blocks=(1, 2, 1, 1), form="C", width=0.125, stem_pool="conv"),
    "D": ResNetSpec(block="basic", blocks=(1, 1, 1, 1), form="D", width=0.125, stem_pool=None),
    "D50": ResNetSpec(blocks=(1, 1, 1, 1), form="D", width=0.125, stem_pool=None),
}
EXACT = ("C", "D", "D50")
"""Whose stems hold only 3x3 convolutions."""

every_kind = pytest.mark.parametrize("kind", KINDS)
every_number = pytest.mark.parametrize(
    "numbers",
    [
        {"weight_bits": None, "activation_bits": None},
        {},
        {"levels": "learned"},
        {"weight_bits": 8, "activation_bits": None, "max_channels": 64},
    ],
    ids=["float", "fixed", "learned", "mixed"],
)
FLOAT = {"weight_bits": None, "activation_bits": None}


def teacher(kind):
    torch.manual_seed(0)
    return randomise(build_classifier(KINDS[kind], classes=K)).eval()


def student(kind, **numbers):
    torch.manual_seed(1)
    return build_classifier(ArchNetSpec(of=KINDS[kind], **numbers), classes=K).eval()


def started(kind, **numbers):
    """Returns a teacher and its Arch-Net."""
    one, other = teacher(kind), student(kind, **numbers)
    start_from(other, one, torch.arange(K))
    return one, other


@pytest.mark.parametrize("limit", [512, 64])
@every_kind
def test_only_operators_that_every_accelerator_has(kind, limit):
    model = student(kind, **FLOAT, max_channels=limit)
    require_supported(model, max_channels=limit)
    kernels = {each.kernel_size for each in model.modules() if isinstance(each, nn.Conv2d)}
    assert kernels == {(3, 3)}
    names = {each.name for each in operators(model, max_channels=limit)}
    assert names.isdisjoint({"addition", "1x1 convolution"})


@every_number
def test_quantisers_are_no_other_operators(numbers):
    require_supported(student("basic", **numbers))


@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50d", marks=pytest.mark.slow)])
def test_published_networks_keep_to_512_channels(name):
    with torch.device("meta"):
        model = build_classifier(ArchNetSpec(of=NAMED[name]), classes=1000)
    widest = max(each.in_channels for each in model.modules() if isinstance(each, nn.Conv2d))
    assert widest == 512
    require_supported(model)


def test_a_resnet18_has_the_filters_of_a_count_by_hand():
    """The paper gives no count of its own."""
    with torch.device("meta"):
        net = ArchNetSpec(of=NAMED["resnet18"]).build()
    stem = 3 * 64 + 2 * 64 * 64
    branches = 4 * 64**2 + sum(c // 2 * c + 3 * c**2 for c in (128, 256, 512))
    projections = sum(c // 2 * c for c in (128, 256, 512))
    joins = 2 * sum(2 * c**2 for c in (64, 128, 256)) + 2 * 2 * (512 * 256)
    found = sum(each.weight.numel() for each in net.modules() if isinstance(each, nn.Conv2d))
    assert found == 9 * (stem + branches + projections + joins)


@every_number
@every_kind
def test_maps_are_shaped_as_those_of_the_residual_network(kind, numbers):
    net, original = student(kind, **numbers).backbone, teacher(kind).backbone
    assert (net.maps, net.width) == (original.maps, original.width)
    for size in SIZES:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            found, wanted = net(images), original(images)
        assert [each.shape for each in found.maps] == [each.shape for each in wanted.maps]
        assert_close(found.vector, found.maps[-1].mean((2, 3)))


@every_number
@every_kind
def test_gradients_reach_every_parameter(kind, numbers):
    model = student(kind, **numbers).train()
    model(torch.randn(4, 3, 64, 64)).square().sum().backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert missing == []


@every_number
def test_the_form_for_inference_gives_the_same(numbers):
    _, model = started("D50", **numbers)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert_close(model.fused()(images), model(images), rtol=1e-4, atol=1e-4)


def test_a_saved_state_gives_the_same_network():
    _, one = started("basic", levels="learned")
    other = student("basic", levels="learned")
    other.load_state_dict(one.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(one(images), other(images))


@pytest.mark.parametrize("limit", [512, 64])
@every_kind
def test_before_it_is_quantised_each_block_is_reproduced(kind, limit):
    one, other = started(kind, **FLOAT, max_channels=limit)
    for theirs, mine in zip(one.backbone.stages, other.backbone.stages, strict=True):
        for block, made in zip(theirs, mine, strict=True):
            channels = next(m for m in block.modules() if isinstance(m, nn.Conv2d)).in_channels
            x = torch.randn(2, channels, 8, 8)
            with torch.no_grad():
                assert_close(made(x), block(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("limit", [512, 64])
@pytest.mark.parametrize("kind", EXACT)
def test_where_the_stem_allows_the_whole_network_is_reproduced(kind, limit):
    one, other = started(kind, **FLOAT, max_channels=limit)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for mine, its in zip(outputs(other, images), outputs(one, images), strict=True):
            assert_close(mine, its, atol=1e-5, rtol=1e-4)


def test_eight_learned_bits_are_close_to_the_network():
    one, other = started("D50", weight_bits=8, activation_bits=8, levels="learned")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        *_, mine, _ = outputs(other, images)
        *_, its, _ = outputs(one, images)
    assert (mine - its).norm() < 0.15 * its.norm()


def test_a_join_starts_with_the_statistics_of_a_sum():
    """So that it gives the sum while it learns too, when norms use those of the batch."""
    one, other = started("D", **FLOAT)
    block, made = one.backbone.stages[1][0], other.backbone.stages[1][0]
    torch.manual_seed(0)
    x = torch.randn(64, 8, 16, 16)
    with torch.no_grad():
        branch, shortcut = block.second(block.first(x)), block.shortcut(x)
        for part in (*block.modules(), *made.modules()):
            part.train()
        given, wanted = made(x), block(x)
    assert branch.shape == shortcut.shape
    assert (given - wanted).norm() < 0.15 * wanted.norm()


def test_fixed_levels_leave_joins_as_drawn_and_statistics_at_zero():
    _, made = started("basic")
    join = made.backbone.stages[0][0].join.convs[0]
    assert join.conv.weight.abs().min() > 0
    assert join.conv.weight.std() > 0.01
    assert not join.norm.running_var.any()


def test_the_head_is_the_teachers_in_the_order_of_the_students_classes():
    one, other = teacher("basic"), student("basic", **FLOAT)
    order = torch.tensor([2, 0, 1, 4, 3])
    start_from(other, one, order)
    assert torch.equal(other.head.fc.weight, one.head.fc.weight[order])
    assert torch.equal(other.head.fc.bias, one.head.fc.bias[order])


@pytest.mark.parametrize(
    ("name", "features", "ends"),
    [("resnet18", 25, (7, 13, 19, 25)), ("resnet50", 65, (13, 29, 53, 65))],
)
def test_targets_are_counted_as_published(name, features, ends):
    spec = ArchNetSpec(of=NAMED[name])
    with torch.device("meta"):
        found = parts(build_classifier(spec, classes=K))
    assert len(found) == features + 1
    assert spec.stage_ends == ends


@every_kind
def test_parts_are_those_that_make_each_output_and_leave_none_out(kind):
    model = student(kind)
    grouped = [p for group in parts(model) for part in group for p in part.parameters()]
    assert sorted(map(id, grouped)) == sorted(map(id, model.parameters()))


@every_kind
def test_outputs_are_those_of_the_network_and_stay_as_they_were(kind):
    one, other = started(kind)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        for model in (one, other):
            kept = [(each, each.clone()) for each in outputs(model, images)]
            assert_close(kept[-1][0], model(images))
            assert all(torch.equal(each, copy) for each, copy in kept)


def test_who_stops_early_computes_no_more():
    model, called = student("basic"), []
    for group in parts(model):
        group[-1].register_forward_hook(lambda part, *_: called.append(part))
    stream = outputs(model, torch.randn(1, 3, 32, 32))
    for _ in range(3):
        next(stream)
    assert called == [group[-1] for group in parts(model)][:3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("squeeze", 0.25),
        ("groups", 32),
        ("norm", GroupNormSpec()),
        ("standardised", True),
    ],
)
def test_other_networks_are_refused(field, value):
    with pytest.raises(RecipeError, match=f"no counterpart of a residual network's {field}="):
        ArchNetSpec(of=ResNetSpec(**{field: value}))


def test_bits_and_channels_out_of_range_are_refused():
    with pytest.raises(RecipeError, match="bits=1; give 2 to 8"):
        ArchNetSpec(of=KINDS["basic"], weight_bits=1)
    with pytest.raises(RecipeError, match="max_channels=1 is too few to join 3 maps"):
        ArchNetSpec(of=KINDS["basic"], max_channels=1).build()


def test_an_arch_net_of_another_network_is_refused():
    with pytest.raises(RecipeError, match="the student is a ResidualNet and has to be an Arch-Net"):
        start_from(teacher("A"), teacher("A"), torch.arange(K))
    other = build_classifier(replace(KINDS["A"], form="B"), classes=K)
    with pytest.raises(RecipeError, match="is not what the Arch-Net stands for"):
        start_from(student("A"), other, torch.arange(K))


@every_number
def test_a_spec_survives_being_written_and_read(numbers):
    spec = ArchNetSpec(of=KINDS["D50"], **numbers)
    assert from_data(ModelSpec, to_data(spec), path="model") == spec


def test_its_title_names_the_network_and_the_numbers():
    of = NAMED["resnet18"]
    assert title(ArchNetSpec(of=of)) == (
        "Arch-Net of resnet18, filters of 2 bits, activations of 4 bits"
    )
    assert title(ArchNetSpec(of=replace(of, width=0.5), **FLOAT)) == (
        "Arch-Net of resnet18 with width=0.5, floating point"
    )


def test_every_quantised_convolution_is_followed_by_levels_in_its_range():
    model = student("basic")
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        *features, _ = outputs(model, images)
    for feature in features:
        assert feature.min() >= 0
        assert feature.max() <= 1
        assert len(feature.unique()) <= 2**4
    units = [part for part in model.modules() if isinstance(part, ConvNorm)]
    assert all(len(unit.conv.quantiser(unit.conv.weight).unique()) <= 4 for unit in units)
    assert all(one is not other for one, other in pairwise(units))
