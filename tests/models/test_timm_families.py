"""One small member of every family of timm as a backbone, and those that cannot be one."""

import gc

import pytest
import timm
import torch
from tests.models.drawn import randomise
from torch import nn

from vertebra.errors import RecipeError
from vertebra.models.timm import TimmBackbone, TimmSpec

MEMBERS = [
    "beit_base_patch16_224",
    "halonet_h1",
    "test_byobnet",
    "cait_xxs24_224",
    "coat_tiny",
    "convit_tiny",
    "convmixer_768_32",
    "test_convnext",
    "cpubone_nano",
    "crossvit_tiny_240",
    "csatv2",
    "cs3darknet_focus_s",
    "cspnext_tiny",
    "davit_tiny",
    "deepseek_vit_412m",
    "deit_tiny_patch16_224",
    "densenet121",
    "dla46x_c",
    "dpn48b",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "test_efficientnet",
    "efficientvim_m1",
    "efficientvit_b0",
    "efficientvit_m0",
    "vit_tiny_patch16_dinov3_qkvb",
    "fasternet_t0",
    "fastvit_t8",
    "focalnet_tiny_srf",
    "gcvit_xxtiny",
    "gemma4_vit_167m",
    "ghostnet_050",
    "hardcorenas_b",
    "hgnetv2_b0",
    "hiera_tiny_224",
    "sam2_hiera_tiny",
    "hrnet_w18_small",
    "iformer_t",
    "inception_next_atto",
    "inception_resnet_v2",
    "inception_v3",
    "inception_v4",
    "lcnetv2_small",
    "levit_128s",
    "lowformer_b0",
    "test_mambaout",
    "test_coatnet",
    "poolformerv2_s12",
    "gmlp_ti16_224",
    "lcnet_035",
    "mobilenetv5_base",
    "mobilevit_xxs",
    "mvitv2_tiny",
    "naflexvit_base_patch16_parfac_gap",
    "nasnetalarge",
    "nest_tiny",
    "nextvit_small",
    "test_nfnet",
    "pit_ti_224",
    "pnasnet5large",
    "pvt_v2_b0",
    "qwen3_vit_88m",
    "rdnet_tiny",
    "regnetx_002",
    "repghostnet_050",
    "repvit_m1",
    "res2next50",
    "resnest14d",
    "test_resnet",
    "resnetv2_18",
    "rexnet_100",
    "selecsls42",
    "legacy_seresnet18",
    "sequencer2d_s",
    "shvit_s1",
    "skresnet18",
    "starnet_s050",
    "swiftformer_xs",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window16_256",
    "swinv2_cr_tiny_224",
    "tiny_vit_5m_224",
    "tnt_s_legacy_patch16_224",
    "tresnet_m",
    "twins_svt_small",
    "vgg11",
    "visformer_tiny",
    "test_vit",
    "vit_tiny_r_s16_p8_224",
    "test_vit_relpos",
    "samvit_base_patch16_224",
    "vitamin_small_224",
    "volo_d1_224",
    "ese_vovnet19b_slim_dw",
    "legacy_xception",
    "xception41p",
    "xcit_nano_12_p8_224",
]
"""A small model of each file of timm's that defines models."""

WITHOUT_VALUES = {"gemma4_vit_167m", "deepseek_vit_412m"}
"""Their positions need values to be computed from, or they are too large to run in a test."""

NO_BACKBONES = ["mobilenetv5_300m_enc", "qwen3_vit_88m_enc", "gemma4_vit_167m_enc"]
"""Encoders of language models, without a pooled vector."""


def build(name: str) -> TimmBackbone:
    torch.manual_seed(0)
    try:
        net = TimmSpec(name=name, stochastic_depth=0.0).build()
    except RecipeError:  # it has none
        net = TimmSpec(name=name).build()
    assert isinstance(net, TimmBackbone)
    randomise(net)
    return net


def test_every_family_has_a_member_here():
    families = [family for family in timm.list_modules() if timm.list_models(module=family)]
    present = [name for family in families for name in timm.list_models(module=family)]
    assert set(MEMBERS) <= set(present)
    assert [
        family for family in families if not {*MEMBERS} & {*timm.list_models(module=family)}
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*MEMBERS} - WITHOUT_VALUES))
def test_a_member_of_every_family_is_a_backbone(name):
    net = build(name).eval()
    size = net.image_size or net.configuration["input_size"][1:]
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        maps, vector = net(images)
        features = net.net.forward_features(images)
        torch.testing.assert_close(
            vector, net.net.forward_head(features, pre_logits=True), rtol=1e-4, atol=1e-4
        )
        folded = net.fused()(images)
    for spec, found in zip(net.maps, maps, strict=True):
        sides = (-(-size[0] // spec.stride), -(-size[1] // spec.stride))
        assert found.shape == (1, spec.channels, *sides)
    for mine, other in zip((*folded.maps, folded.vector), (*maps, vector), strict=True):
        assert (mine - other).abs().max() <= 1e-3 * other.abs().max()
    levels = [id(parameter) for level in net.levels() for parameter in level.parameters()]
    assert sorted(levels) == sorted(map(id, net.parameters()))
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*MEMBERS} - WITHOUT_VALUES))
def test_a_member_of_every_family_learns_in_every_parameter(name):
    net = build(name).train()
    unlearnt = without_gradient(net)
    for part in net.modules():
        # a batch's own mean takes out what a bias before it adds, up to rounding: its gradient may
        # be 0 there, but not where the norm has another mean
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
    assert not unlearnt or not unlearnt & without_gradient(net)


def without_gradient(net: TimmBackbone) -> set[str]:
    """Returns the names of the parameters that drawn images and a drawn loss teach nothing."""
    net.zero_grad()
    vector = net(torch.randn(2, 3, *(net.image_size or (128, 128)))).vector
    (vector * torch.randn_like(vector)).sum().backward()
    learnt = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    return {n for n, p in learnt if p.grad is None or not p.grad.any()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NO_BACKBONES)
def test_an_encoder_without_a_vector_says_so_when_it_is_built(name):
    with (
        torch.device("meta"),
        pytest.raises(RecipeError, match=f"timm/{name} .*; choose another model"),
    ):
        TimmSpec(name=name).build()
