import copy
from dataclasses import replace

import pytest
import timm
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn

from vertebra.bench.account import account
from vertebra.contracts import Classifier, fused, split_by_decay
from vertebra.errors import CheckpointError, RecipeError
from vertebra.layers.norm_head import NormHead
from vertebra.layers.offset_bias import OffsetBias
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.classifier import build_classifier
from vertebra.models.levit import NAMED, Block, Halving, LeViTSpec
from vertebra.models.levit_head import LeViTHead
from vertebra.models.weights import load_timm

FIGURES = {
    "levit_128s": (7_777_058, 304.7),
    "levit_128": (9_213_936, 405.3),
    "levit_192": (10_947_069, 657.0),
    "levit_256": (18_893_876, 1127.3),
    "levit_384": (39_128_836, 2351.8),
}
ONE_HEAD = {"levit_128s": 385_768, "levit_256": 514_024, "levit_384": 770_536}
SMALL = LeViTSpec(channels=(16, 24, 32), heads=(2, 3, 4), blocks=(1, 1, 1), key_width=4)


def whole(spec: LeViTSpec, classes: int = 1000) -> Classifier:
    with torch.device("meta"):
        return build_classifier(spec, classes=classes)


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_and_macs_are_the_published_ones(name):
    parameters, mmacs = FIGURES[name]
    found = account(whole(NAMED[name]), image_size=224)
    assert found.parameters == parameters
    assert found.macs / 1e6 == pytest.approx(mmacs, rel=0.001)


@pytest.mark.parametrize("name", ONE_HEAD)
def test_without_distillation_one_head_is_saved(name):
    model = whole(replace(NAMED[name], distilled=False))
    assert isinstance(model.head, NormHead)
    parameters = sum(each.numel() for each in model.parameters())
    assert parameters == FIGURES[name][0] - ONE_HEAD[name]


def test_the_stem_costs_what_was_published():
    found = account(whole(NAMED["levit_256"]), image_size=224)
    assert found.macs_by_part["backbone.stem"] / 1e6 == pytest.approx(184.25, rel=1e-4)


def stage_maps(net: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Returns the maps [N, C, h, w] after each stage of a timm network, and its logits."""
    found: list[Tensor] = []
    stages = net.get_submodule("stages").children()
    hooks = [each.register_forward_hook(lambda *call: found.append(call[2])) for each in stages]
    logits = net(images)
    for hook in hooks:
        hook.remove()
    sides = [-(-images.shape[-1] // stride) for stride in (16, 32, 64)]
    maps = [
        tokens.transpose(1, 2).unflatten(2, (side, side))
        for tokens, side in zip(found, sides, strict=True)
    ]
    return maps, logits


@pytest.mark.parametrize("image_size", [224, 160])
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n != "levit_192" else ()) for n in FIGURES],
)
def test_timm_and_we_give_the_same_maps_and_logits(name, image_size):
    torch.manual_seed(0)
    theirs = randomise(timm.create_model(name, num_classes=10, img_size=image_size)).eval()
    ours = build_classifier(replace(NAMED[name], image_size=image_size), classes=10).eval()
    load_timm(ours, theirs.state_dict())
    images = torch.randn(2, 3, image_size, image_size)
    with torch.no_grad():
        maps, logits = stage_maps(theirs, images)
        encoding, found, folded = ours.backbone(images), ours(images), ours.fused()(images)
    assert logits.std() > 0.05, "logits too alike to tell networks apart"
    torch.testing.assert_close(found, logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(folded, logits, rtol=0, atol=1e-4)
    for mine, other in zip(encoding.maps, maps, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_a_backbone_takes_weights_without_either_head():
    theirs = randomise(timm.create_model("levit_128s", num_classes=10))
    backbone = NAMED["levit_128s"].build()
    load_timm(backbone, theirs.state_dict())
    stem = theirs.get_submodule("stem.conv1.linear").weight
    assert torch.equal(backbone.get_submodule("stem.0.conv").weight, stem)


def test_weights_of_two_heads_do_not_fit_one():
    state = timm.create_model("levit_128s", num_classes=10).state_dict()
    model = build_classifier(replace(NAMED["levit_128s"], distilled=False), classes=10)
    with pytest.raises(CheckpointError, match="left over head_dist"):
        load_timm(model, state)


def test_every_residual_branch_starts_at_zero():
    net = SMALL.build().eval()
    for block in (m for m in net.modules() if isinstance(m, Block)):
        x = torch.randn(1, 3, 3, block.attention.project.linear.out_features)
        assert torch.equal(block(x), x)
    for halving in (m for m in net.modules() if isinstance(m, Halving)):
        x = torch.randn(1, 3, 3, halving.attention.query.linear.in_features)
        assert torch.equal(halving(x), halving.attention(x))
        assert halving(x).count_nonzero()


def test_stochastic_depth_has_one_rate_for_all_branches():
    with torch.device("meta"):
        net = NAMED["levit_384"].build()
    rates = [m.rate for m in net.modules() if isinstance(m, StochasticDepth)]
    assert rates == [0.1] * (12 + 2)
    assert not any(isinstance(m, StochasticDepth) for m in NAMED["levit_256"].build().modules())


def test_tables_of_biases_do_not_decay():
    model = build_classifier(SMALL, classes=3)
    weights, rest = split_by_decay(model)
    tables = {id(m.table) for m in model.modules() if isinstance(m, OffsetBias)}
    assert len(tables) == 5
    assert tables <= {id(each) for each in rest.parameters}
    assert all(each.ndim > 1 for each in weights.parameters)


def test_the_form_for_inference_has_no_norms_and_one_head():
    folded = fused(whole(NAMED["levit_128s"]))
    parameters = sum(each.numel() for each in folded.parameters())
    assert parameters == 7_756_466 - (384 + 1) * 1000  # the figure counts both heads
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in folded.modules())
    assert isinstance(folded.head, nn.Linear)


@pytest.mark.parametrize("size", [(224, 224), (33, 97), (240, 400)])
def test_the_form_for_inference_gives_the_same_logits_at_any_size(size):
    model = randomise(build_classifier(SMALL, classes=7)).eval()
    before = copy.deepcopy(model.state_dict())
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(model.fused()(images), model(images), rtol=0, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_larger_table_is_of_no_use_to_a_smaller_image():
    large, small = randomise(SMALL.build()).eval(), replace(SMALL, image_size=64).build().eval()
    state = large.state_dict()
    for name, part in small.named_modules():
        if isinstance(part, OffsetBias):
            table = state[f"{name}.table"]
            square = table.unflatten(1, (int(table.shape[1] ** 0.5),) * 2)
            state[f"{name}.table"] = square[:, : part.side, : part.side].flatten(1)
    small.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(small(images).vector, large(images).vector)


def test_half_precision_stays_near():
    model = randomise(build_classifier(SMALL, classes=7)).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        exact = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model(images).float(), exact, rtol=0.05, atol=0.05)


def test_the_same_seed_starts_the_same_network():
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(build_classifier(SMALL, classes=3).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_the_head_is_the_paper_s():
    assert isinstance(build_classifier(SMALL, classes=3).head, LeViTHead)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"channels": (128, 256)}, "channels=(128, 256); give three whole numbers"),
        ({"heads": (0, 1, 1)}, "heads=(0, 1, 1); give three"),
        ({"blocks": (1, 1, 1, 1)}, "blocks=(1, 1, 1, 1); give three"),
        ({"key_width": 0}, "key_width=0; give a whole number"),
        ({"image_size": 0}, "image_size=0; give a whole number"),
        ({"width": 0.0}, "width=0.0; give a finite factor"),
        ({"depth": float("nan")}, "depth=nan; give a finite factor"),
        ({"stochastic_depth": 1.0}, "stochastic_depth=1.0; give a rate"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        LeViTSpec(**fields)
    assert words in str(caught.value)


def test_images_without_channels_are_refused():
    with pytest.raises(RecipeError, match="in_channels=0"):
        SMALL.build(0)
