from dataclasses import replace

import pytest
import timm
import torch
from tests.models.drawn import randomise
from timm.models.convnext import ConvNeXt as TimmConvNeXt
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import get_model
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.convnext import ConvNeXt as TorchvisionConvNeXt

from vertebra.bench.account import Account, account
from vertebra.contracts import Classifier, split_by_decay
from vertebra.errors import CheckpointError, RecipeError
from vertebra.layers.linear_head import LinearHead
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.convnext import NAMED, ConvNeXt, ConvNeXtBlock, ConvNeXtSpec
from vertebra.models.weights import load_timm, load_torchvision

FIGURES = {
    ("convnext_tiny", 224): (28_589_128, 4.456),
    ("convnext_tiny", 384): (28_589_128, 13.092),
    ("convnext_small", 224): (50_223_688, 8.684),
    ("convnext_base", 224): (88_591_464, 15.355),
    ("convnext_base", 384): (88_591_464, 45.122),
    ("convnext_large", 224): (197_767_336, 34.361),
    ("convnext_xlarge", 224): (350_196_968, 60.921),
}
ISOTROPIC = {
    "convnext_iso_small": (18, 384, 22, 4.3),
    "convnext_iso_base": (18, 768, 87, 16.9),
    "convnext_iso_large": (36, 1024, 306, 59.7),
}
SIZES = [(64, 64), (96, 160)]
SMALL = ConvNeXtSpec(width=0.125, depth=0.4)
DEEP = ConvNeXtSpec(blocks=(3, 3, 27, 3), channels=(8, 16, 24, 40))


def classifier(spec: ConvNeXtSpec, classes: int = 10) -> Classifier:
    backbone = spec.build()
    return Classifier(backbone, LinearHead(backbone.width, classes)).eval()


def cost(spec: ConvNeXtSpec, image_size: int) -> Account:
    with torch.device("meta"):
        model = classifier(spec, classes=1000)
    return account(model, image_size=image_size)


def blocks_of(net: nn.Module) -> list[ConvNeXtBlock]:
    return [module for module in net.modules() if isinstance(module, ConvNeXtBlock)]


@pytest.mark.parametrize(
    ("name", "image_size"),
    [pytest.param(*key, marks=pytest.mark.slow if FIGURES[key][1] > 5 else ()) for key in FIGURES],
)
def test_parameters_and_macs_are_the_published_ones(name, image_size):
    parameters, gmacs = FIGURES[name, image_size]
    found = cost(NAMED[name], image_size)
    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(gmacs, abs=6e-4)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if ISOTROPIC[n][3] > 5 else ()) for n in ISOTROPIC],
)
def test_isotropic_networks_cost_what_their_layers_say_and_what_was_published(name):
    depth, width, millions, gmacs = ISOTROPIC[name]
    found = cost(NAMED[name], 224)
    # A block has a 7x7, two linear layers, a norm and biases, and the largest network gammas.
    block = 8 * width**2 + (58 if name == "convnext_iso_large" else 57) * width
    stem, end = (3 * 16**2 + 1) * width, 2 * width + (width + 1) * 1000
    assert found.parameters == stem + depth * block + end
    assert found.parameters / 1e6 == pytest.approx(millions, abs=0.5)
    assert found.macs / 1e9 == pytest.approx(gmacs, abs=0.05)


def assert_parity(
    theirs: nn.Module, ours: Classifier, stages: list[nn.Module], sizes: list[tuple[int, int]]
) -> None:
    maps: list[Tensor] = []
    for stage in stages:
        stage.register_forward_hook(lambda *call: maps.append(call[2]))
    for size in sizes:
        images = torch.randn(2, 3, *size)
        maps.clear()
        with torch.no_grad():
            logits, encoding, found = theirs(images), ours.backbone(images), ours(images)
        assert logits.std() > 0.05, "logits too alike to tell networks apart"
        torch.testing.assert_close(found, logits, rtol=0, atol=1e-4)
        for mine, other in zip(encoding.maps, maps, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def assert_parity_with_timm(theirs: nn.Module, spec: ConvNeXtSpec, sizes=SIZES) -> None:
    theirs, ours = randomise(theirs).eval(), classifier(spec)
    load_timm(ours, theirs.state_dict())
    assert_parity(theirs, ours, [*theirs.get_submodule("stages")], sizes)


def assert_parity_with_torchvision(theirs: nn.Module, spec: ConvNeXtSpec, sizes=SIZES) -> None:
    theirs, ours = randomise(theirs).eval(), classifier(spec)
    load_torchvision(ours, theirs.state_dict())
    assert_parity(theirs, ours, [*theirs.get_submodule("features")][1::2], sizes)


def test_timm_and_we_give_the_same_maps_and_logits():
    torch.manual_seed(0)
    theirs = TimmConvNeXt(depths=DEEP.blocks, dims=DEEP.channels, num_classes=10)
    assert_parity_with_timm(theirs, DEEP)


def test_torchvision_and_we_give_the_same_maps_and_logits():
    torch.manual_seed(0)
    following = (*DEEP.channels[1:], None)
    rows = zip(DEEP.channels, following, DEEP.blocks, strict=True)
    theirs = TorchvisionConvNeXt([CNBlockConfig(*row) for row in rows], num_classes=10)
    assert_parity_with_torchvision(theirs, DEEP)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnext_tiny", "convnext_small", "convnext_base"])
def test_whole_networks_agree_with_torchvision(name):
    torch.manual_seed(0)
    assert_parity_with_torchvision(get_model(name, num_classes=10), NAMED[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["convnext_tiny", "convnext_small", "convnext_base", "convnext_large", "convnext_xlarge"],
)
def test_whole_networks_agree_with_timm(name):
    torch.manual_seed(0)
    assert_parity_with_timm(timm.create_model(name, num_classes=10), NAMED[name], [(64, 64)])


def test_a_bare_backbone_takes_everything_but_the_head():
    theirs = randomise(TimmConvNeXt(depths=DEEP.blocks, dims=DEEP.channels, num_classes=10)).eval()
    backbone = DEEP.build().eval()
    load_timm(backbone, theirs.state_dict())
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        theirs_vector = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
        torch.testing.assert_close(backbone(images).vector, theirs_vector)


def test_weights_with_layer_scale_do_not_load_where_there_is_none():
    state = TimmConvNeXt(depths=DEEP.blocks, dims=DEEP.channels, num_classes=10).state_dict()
    with pytest.raises(CheckpointError, match=r"left over stages\.0\.blocks\.0\.gamma"):
        load_timm(classifier(replace(DEEP, layer_scale=None)), state)


def written_out(block: ConvNeXtBlock, x: Tensor) -> Tensor:
    """The block with its channels first all the way and with no layer of torch's."""
    samples, _, height, width = x.shape
    padded = F.pad(x, (3, 3, 3, 3))
    y = block.spatial.bias.view(-1, 1, 1).repeat(samples, 1, height, width)
    for row in range(7):
        for column in range(7):
            weight = block.spatial.weight[:, 0, row, column].view(-1, 1, 1)
            y = y + weight * padded[:, :, row : row + height, column : column + width]
    mean = y.mean(1, keepdim=True)
    y = (y - mean) / (y.var(1, correction=0, keepdim=True) + 1e-6).sqrt()
    y = y * block.norm.weight.view(-1, 1, 1) + block.norm.bias.view(-1, 1, 1)
    y = torch.einsum("kc,nchw->nkhw", block.expand.weight, y) + block.expand.bias.view(-1, 1, 1)
    y = y * (1 + torch.erf(y / 2**0.5)) / 2
    y = torch.einsum("ck,nkhw->nchw", block.reduce.weight, y) + block.reduce.bias.view(-1, 1, 1)
    return x + block.gamma.view(-1, 1, 1) * y


@pytest.mark.parametrize("size", [(1, 1), (5, 9)])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_block_is_the_papers_formula_in_either_memory_layout(size, memory):
    torch.manual_seed(0)
    block = randomise(ConvNeXtBlock(12))
    x = torch.randn(2, 12, *size)
    with torch.no_grad():
        wanted = written_out(block, x)
        assert (wanted - x).std() > 0.1
        torch.testing.assert_close(block(x.contiguous(memory_format=memory)), wanted)


def test_a_block_with_zero_gamma_is_exactly_the_identity():
    torch.manual_seed(0)
    block = randomise(ConvNeXtBlock(8))
    nn.init.zeros_(block.gamma)
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x), x)
    block(x).sum().backward()
    assert block.gamma.grad.any()


def test_a_fresh_block_is_nearly_the_identity():
    net = SMALL.build()
    for block in blocks_of(net):
        x = torch.randn(1, block.norm.normalized_shape[0], 4, 4)
        assert 0 < (block(x) - x).abs().max() < 1e-5
        assert block.gamma.eq(1e-6).all()


def test_without_layer_scale_no_block_has_a_gamma():
    net = replace(SMALL, layer_scale=None).build()
    assert [name for name, _ in net.named_parameters() if "gamma" in name] == []
    block = blocks_of(net)[0]
    x = torch.randn(1, block.norm.normalized_shape[0], 4, 4)
    assert (block(x) - x).abs().max() > 1e-4


def test_the_vector_is_the_normed_mean_of_the_last_map():
    net = randomise(SMALL.build()).eval()
    with torch.no_grad():
        maps, vector = net(torch.randn(2, 3, 64, 96))
    mean = maps[-1].mean((2, 3))
    wanted = F.layer_norm(mean, (net.width,), net.norm.weight, net.norm.bias, 1e-6)
    torch.testing.assert_close(vector, wanted)


def test_every_map_lies_in_memory_with_its_channels_last_whatever_the_images_do():
    net = SMALL.build()
    for memory in (torch.contiguous_format, torch.channels_last):
        images = torch.randn(2, 3, 64, 64).contiguous(memory_format=memory)
        for found in net(images).maps:
            assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_size_that_is_no_multiple_gives_what_zeros_around_the_image_give_in_the_stem():
    net = SMALL.build().eval()
    images = torch.randn(1, 3, 61, 62)
    padded = F.pad(images, (0, 2, 0, 3))
    with torch.no_grad():
        assert torch.equal(net(images).maps[0], net(padded).maps[0])


def test_rates_of_stochastic_depth_grow_from_zero_to_the_rate_over_all_blocks():
    with torch.device("meta"):
        net = ConvNeXtSpec(stochastic_depth=0.34).build()
    rates = [m.rate for m in net.modules() if isinstance(m, StochasticDepth)]
    assert rates == pytest.approx([0.34 * place / 17 for place in range(1, 18)])


def test_evaluation_is_blind_to_what_is_dropped():
    noisy, calm = replace(SMALL, stochastic_depth=0.5).build(), SMALL.build()
    calm.load_state_dict(randomise(noisy).state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(noisy.eval()(images).vector, calm.eval()(images).vector)
    assert not torch.equal(noisy.train()(images).vector, noisy(images).vector)


def test_levels_are_the_stem_twelve_groups_and_the_norm_as_layer_wise_decay_counts_them():
    net = DEEP.build()
    levels = net.levels()
    assert len(levels) == 14
    group = {id(p): n for n, level in enumerate(levels) for p in level.parameters()}
    for stage, row in enumerate(net.stages):
        blocks = blocks_of(row)
        for place, block in enumerate(blocks):
            wanted = {0: 1, 1: 2, 2: 3 + place // 3, 3: 12}[stage]
            assert group[id(block.gamma)] == wanted
    downsampled = [group[id(net.stages[n][0].downsample.conv.weight)] for n in (1, 2, 3)]
    assert downsampled == [2, 3, 12]


def test_weight_decay_skips_gammas_norms_and_biases():
    net = SMALL.build()
    weights, rest = split_by_decay(net)
    decaying = {id(parameter) for parameter in weights.parameters}
    names = {name for name, p in net.named_parameters() if id(p) in decaying}
    assert names == {
        name
        for name, _ in net.named_parameters()
        if name.endswith(".weight") and ".norm." not in name and not name.startswith("norm.")
    }
    assert {id(block.gamma) for block in blocks_of(net)} <= {id(p) for p in rest.parameters}


def test_weights_start_normal_and_biases_at_zero():
    torch.manual_seed(0)
    net = ConvNeXtSpec(width=0.5, depth=0.1).build()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if module.weight.numel() > 1000:
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not module.bias.any()


def test_folding_takes_every_gamma_into_the_layer_before_and_leaves_the_network_alone():
    net = randomise(SMALL.build()).eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    folded = net.fused()
    assert isinstance(folded, ConvNeXt)
    assert all(block.gamma is None for block in blocks_of(folded))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_half_precision_keeps_the_sum_of_the_blocks_in_full():
    net = randomise(SMALL.build()).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        maps = net(images).maps
    assert {found.dtype for found in maps} == {torch.float32}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"blocks": (3, 3, 9)}, "as many of one as of the other"),
        ({"blocks": (3, 3, 0, 3)}, "each at least 1"),
        ({"channels": (96, 192, 384, 0)}, "each at least 1"),
        ({"blocks": (), "channels": ()}, "blocks=(), channels=()"),
        ({"patch_px": 0}, "patch_px=0; give a whole number"),
        ({"layer_scale": 0.0}, "layer_scale=0.0; give a finite factor"),
        ({"width": -1.0}, "width=-1.0; give a finite factor"),
        ({"depth": 0.0}, "depth=0.0; give a finite factor"),
        ({"stochastic_depth": 1.0}, "stochastic_depth=1.0; give a rate"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        ConvNeXtSpec(**fields)
    assert words in str(caught.value)


def test_images_without_channels_are_refused():
    with pytest.raises(RecipeError, match="in_channels=0"):
        SMALL.build(0)
