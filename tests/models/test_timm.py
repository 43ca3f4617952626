"""Models of timm as backbones: the promises of every backbone, and parity with timm itself."""

import subprocess
import sys
from functools import cache

import pytest
import timm
import torch
from tests.models.drawn import randomise
from torch import nn

from vertebra.contracts import Foldable
from vertebra.errors import MissingExtra, NameLookupError, RecipeError
from vertebra.models.shelf import create_backbone, find_entry, find_spec, title
from vertebra.models.specs import ModelSpec
from vertebra.models.timm import TimmBackbone, TimmSpec
from vertebra.models.timm_library import created
from vertebra.recipes.codec import from_data, to_data

SMALL = [
    "mobilenetv3_small_050",
    "regnetx_002",
    "test_efficientnet",
    "test_convnext",
    "test_vit",
    "test_coatnet",
    "pit_ti_224",
    "deit_tiny_distilled_patch16_224",
]
small_ones = pytest.mark.parametrize("name", SMALL)


@cache
def built(name: str) -> TimmBackbone:
    torch.manual_seed(0)
    net = randomise(TimmSpec(name=name).build())
    assert isinstance(net, TimmBackbone)
    return net


def native(net: TimmBackbone) -> tuple[int, int]:
    return net.image_size or net.configuration["input_size"][1:]


def assert_keeps_its_promise(net: TimmBackbone, size: tuple[int, int]) -> None:
    height, width = size
    with torch.no_grad():
        maps, vector = net.eval()(torch.randn(1, net.in_channels, *size))
    assert vector.shape == (1, net.width)
    assert [spec.name for spec in net.maps] == [f"stage{i + 1}" for i in range(len(net.maps))]
    assert [spec.stride for spec in net.maps] == sorted(spec.stride for spec in net.maps)
    for spec, found in zip(net.maps, maps, strict=True):
        assert found.shape == (
            1,
            spec.channels,
            -(-height // spec.stride),
            -(-width // spec.stride),
        )


@small_ones
def test_maps_have_the_promised_shapes_at_any_size_it_takes(name):
    net = built(name)
    assert net.maps
    sizes = [(1, 1), (33, 33), (97, 64), native(net)]
    for size in sizes if net.image_size is None else [net.image_size]:
        assert_keeps_its_promise(net, size)


@small_ones
def test_it_gives_the_maps_and_the_vector_that_timm_gives(name):
    net = built(name).eval()
    images = torch.randn(2, 3, *native(net))
    with torch.no_grad():
        maps, vector = net(images)
        features = net.net.forward_features(images)
        theirs = net.net.forward_intermediates(images, intermediates_only=True)
        torch.testing.assert_close(vector, net.net.forward_head(features, pre_logits=True))
    for found in maps:
        assert any(found.shape == each.shape and torch.equal(found, each) for each in theirs)


@small_ones
def test_evaluation_repeats_itself_and_minds_no_neighbours(name):
    net = built(name).eval()
    images = torch.randn(2, 3, *native(net))
    with torch.no_grad():
        vector = net(images).vector
        assert torch.equal(vector, net(images).vector)
        torch.testing.assert_close(vector[:1], net(images[:1]).vector, rtol=1e-4, atol=1e-5)


@small_ones
def test_gradients_reach_every_parameter(name):
    net = built(name).train()
    net.zero_grad()
    vector = net(torch.randn(2, 3, *(net.image_size or (64, 64)))).vector
    (vector * torch.randn_like(vector)).sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@small_ones
def test_levels_share_no_parameter_and_leave_none_out(name):
    net = built(name)
    parts = [id(parameter) for level in net.levels() for parameter in level.parameters()]
    assert sorted(parts) == sorted(map(id, net.parameters()))
    assert len(net.levels()) >= 3


@small_ones
def test_the_form_for_inference_gives_the_same(name):
    net = built(name).eval()
    images = torch.randn(1, 3, *native(net))
    with torch.no_grad():
        found, wanted = net.fused()(images), net(images)
    for mine, other in zip((*found.maps, found.vector), (*wanted.maps, wanted.vector), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_every_batch_norm_of_a_mobilenet_folds_and_the_original_keeps_its_own():
    net = built("mobilenetv3_small_050")
    norms = [isinstance(part, nn.BatchNorm2d) for part in net.modules()]
    assert any(norms)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in net.fused().modules())
    assert norms == [isinstance(part, nn.BatchNorm2d) for part in net.modules()]
    assert isinstance(net, Foldable)


def test_levels_run_from_the_image_and_freezing_holds_their_statistics():
    net = TimmSpec(name="test_efficientnet").build()
    first = next(iter(net.levels()[0].parameters()))
    assert first is net.net.conv_stem.weight
    net.freeze(2)
    net.train()
    assert not net.net.bn1.training
    assert not net.net.blocks[0][0].bn1.training
    assert net.net.blocks[-1][0].bn1.training
    assert not first.requires_grad


def test_blocks_of_a_transformer_are_levels_and_its_tokens_go_with_the_stem():
    net = built("test_vit")
    stem, *blocks = net.levels()
    assert {id(net.net.cls_token), id(net.net.pos_embed)} <= {id(p) for p in stem.parameters()}
    assert len(blocks) == len(net.net.blocks)


def test_a_transformer_gives_four_maps_of_one_stride():
    assert [tuple(spec) for spec in built("deit_tiny_distilled_patch16_224").maps] == [
        (f"stage{number}", 192, 16) for number in (1, 2, 3, 4)
    ]


def test_a_map_that_is_not_one_cell_for_each_stride_is_left_out():
    net = built("pit_ti_224")
    assert [spec.stride for spec in net.maps] == [16, 32]
    assert [info["reduction"] for info in net.net.feature_info] == [8, 16, 32]


def test_a_network_for_one_size_refuses_another_and_can_be_built_for_it():
    with pytest.raises(RecipeError, match=r"for images of 160 x 160 px and was given 96 x 64"):
        built("test_coatnet")(torch.zeros(1, 3, 96, 64))
    other = TimmSpec(name="test_coatnet", image_size=96).build()
    assert other.image_size == (96, 96)
    assert other.eval()(torch.zeros(1, 3, 96, 96)).vector.shape == (1, other.width)


def test_a_setting_that_the_model_has_not_is_refused():
    with pytest.raises(RecipeError, match=r"image_size=96: timm/test_resnet has none"):
        TimmSpec(name="test_resnet", image_size=96).build()
    with pytest.raises(RecipeError, match=r"stochastic_depth=0.1: timm/vgg11 has none"):
        TimmSpec(name="vgg11", stochastic_depth=0.1).build()


def test_stochastic_depth_reaches_timm():
    net = TimmSpec(name="test_vit", stochastic_depth=0.5).build()
    assert net.net.blocks[-1].drop_path1.drop_prob == 0.5


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(channels):
    assert_keeps_its_promise(TimmSpec(name="test_efficientnet").build(channels), (40, 40))


def test_what_is_no_backbone_says_so_when_it_is_built(monkeypatch):
    with torch.device("meta"):
        net = timm.create_model("test_resnet", num_classes=0)
    net.forward_head = lambda features, pre_logits: features  # a map, no vector
    monkeypatch.setattr("vertebra.models.timm.created", lambda name, arguments: net)
    with pytest.raises(RecipeError, match=r"no maps and vector for 160 x 160 px \(Value"):
        TimmSpec(name="test_resnet").build()


def test_what_timm_cannot_build_says_so():
    with pytest.raises(RecipeError, match=r"timm cannot build timm/test_vit so \(TypeError: "):
        created("test_vit", {"blocks": 3})


def test_it_is_built_on_the_meta_device_too():
    with torch.device("meta"):
        net = TimmSpec(name="regnetx_002").build()
    assert all(parameter.is_meta for parameter in net.parameters())
    assert net(torch.empty(2, 3, 64, 64, device="meta")).vector.shape == (2, net.width)


def test_the_same_seed_draws_the_same_network():
    torch.manual_seed(3)
    first = TimmSpec(name="test_efficientnet").build().state_dict()
    torch.manual_seed(3)
    again = TimmSpec(name="test_efficientnet").build().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_licence_is_that_of_the_weights_that_the_name_stands_for():
    assert TimmSpec(name="resnet18").build().licence == "apache-2.0"
    assert TimmSpec(name="resnet18.fb_swsl_ig1b_ft_in1k").build().licence == "cc-by-nc-4.0"
    assert TimmSpec(name="test_mambaout").build().licence == timm.get_pretrained_cfg_value(
        "test_mambaout", "license"
    )


def test_it_is_found_by_its_name_and_called_by_it():
    spec = find_spec("timm/test_vit")
    assert spec == TimmSpec(name="test_vit")
    assert title(spec) == "timm/test_vit"
    changed = TimmSpec(name="test_vit", image_size=96)
    assert title(changed) == "timm/test_vit with image_size=96"
    assert isinstance(create_backbone("timm/test_resnet"), TimmBackbone)
    assert find_entry("timm/test_vit").image_size == 160


def test_a_misspelt_name_gets_the_nearest_of_timm():
    with pytest.raises(NameLookupError, match="'timm/efficientnet_bO'; did you mean 'timm/effic"):
        find_spec("timm/efficientnet_bO")
    with pytest.raises(NameLookupError, match=r"no weights 'a1_in1'.*did you mean 'a1_in1k'"):
        find_spec("timm/resnet50.a1_in1")
    with pytest.raises(NameLookupError, match="one of timm is called timm/efficientnet_b0"):
        find_spec("efficientnet_b0")


def test_a_spec_survives_being_stored():
    spec = TimmSpec(name="test_vit", image_size=96, stochastic_depth=0.1)
    assert from_data(ModelSpec, to_data(spec)) == spec


@pytest.mark.parametrize(
    ("field", "value"), [("image_size", 0), ("stochastic_depth", 1.0), ("stochastic_depth", -0.1)]
)
def test_a_value_out_of_range_is_refused(field, value):
    with pytest.raises(RecipeError, match=f"{field}={value}"):
        TimmSpec(name="test_vit", **{field: value})


def test_without_timm_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr("vertebra.models.timm_library.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install vertebra\[timm\]"):
        find_spec("timm/test_vit")
    with pytest.raises(MissingExtra, match=r"pip install vertebra\[timm\]"):
        TimmSpec(name="test_vit").build()


def test_timm_is_not_imported_before_one_of_its_models_is_asked_for():
    code = (
        "import sys; import vertebra.models.specs; from vertebra.models.shelf import find_spec; "
        "find_spec('resnet18'); sys.exit('timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_convnext"])
def test_small_ones_compile_and_export(name):
    net = built(name).eval()
    images = torch.randn(2, 3, *native(net))
    with torch.no_grad():
        wanted = net(images).vector
        compiled = torch.compile(net, fullgraph=True)(images).vector
        exported = torch.export.export(net, (images,)).module()(images).vector
    torch.testing.assert_close(compiled, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(exported, wanted, rtol=1e-4, atol=1e-5)
