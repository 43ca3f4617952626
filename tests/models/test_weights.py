from dataclasses import replace
from functools import cache

import pytest
import timm
import torch
import torchvision
from tests.models.drawn import randomise
from torch import Tensor, nn

from vertebra.contracts import Backbone, Classifier, Encoding
from vertebra.errors import CheckpointError
from vertebra.layers.linear_head import LinearHead
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shelf import SHELF, create_backbone
from vertebra.models.weights import load_timm, load_torchvision

SIZES = [(64, 64), (97, 75)]
FAST = {"resnet18", "resnet50", "resnet50d", "seresnet50", "resnetrs50", "resnext50_32x4d"}
OURS_ALONE = {
    "resnet50a",
    "resnet101a",
    "resnet152a",
    "resnet50_gn_ws",
    "resnetrs26",
    "resnetrs50_gn",
}
MODULES = {"vertebra.models.resnet", "vertebra.models.resnet_rs"}
TIMM = [n for n, e in SHELF.items() if e.family.module in MODULES and n not in OURS_ALONE]
"""Those that timm calls as we do; the other families are compared in their own files."""
TORCHVISION = [
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
]


def fast_or_slow(names):
    return [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in names]


def classifier(backbone: Backbone, classes: int = 10) -> Classifier:
    return Classifier(backbone, LinearHead(backbone.width, classes)).eval()


def small(classes: int = 10) -> Classifier:
    return classifier(ResNetSpec(block="basic", blocks=(2, 2, 2, 2)).build(), classes)


@cache
def foreign_small() -> dict[str, Tensor]:
    return randomise(timm.create_model("resnet18", num_classes=10)).state_dict()


def stage_maps(net: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Returns the outputs of layer1 to layer4 and the logits of a timm or torchvision network."""
    maps: list[Tensor] = []
    layers = [net.get_submodule(f"layer{stage}") for stage in range(1, 5)]
    hooks = [layer.register_forward_hook(lambda *call: maps.append(call[2])) for layer in layers]
    logits = net(images)
    for hook in hooks:
        hook.remove()
    return maps, logits


def assert_parity(theirs: nn.Module, ours: Classifier) -> None:
    for size in SIZES:
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            maps, logits = stage_maps(theirs, images)
            encoding = ours.backbone(images)
            found = ours(images)
        assert logits.std() > 0.05, "logits too alike to tell networks apart"
        torch.testing.assert_close(found, logits, rtol=0, atol=1e-4)
        for mine, other in zip(encoding.maps, maps, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", fast_or_slow(TIMM))
def test_timm_and_we_give_the_same_maps_and_logits(name):
    torch.manual_seed(0)
    theirs = randomise(timm.create_model(name, num_classes=10)).eval()
    ours = classifier(create_backbone(name))
    load_timm(ours, theirs.state_dict())
    assert_parity(theirs, ours)


@pytest.mark.parametrize("name", fast_or_slow(TORCHVISION))
def test_torchvision_and_we_give_the_same_maps_and_logits(name):
    torch.manual_seed(0)
    theirs = randomise(torchvision.models.get_model(name, num_classes=10)).eval()
    ours = classifier(create_backbone(name))
    load_torchvision(ours, theirs.state_dict())
    assert_parity(theirs, ours)


def test_a_bare_backbone_takes_everything_but_the_head():
    whole, alone = small(classes=10), small(classes=3).backbone
    load_timm(whole, foreign_small())
    load_timm(alone, foreign_small())
    images = torch.randn(1, 3, 33, 33)
    with torch.no_grad():
        assert torch.equal(alone(images).vector, whole.backbone(images).vector)


def test_step_counters_may_be_missing_as_in_old_files():
    model = small()
    load_timm(model, {key: value for key, value in foreign_small().items() if value.ndim})
    norm = model.backbone.get_submodule("stem.whole.norm")
    assert torch.equal(norm.weight, foreign_small()["bn1.weight"])


def test_other_keys_are_an_error_that_lists_a_few():
    state = dict(foreign_small())
    state["layer1.0.conv9.weight"] = state.pop("layer1.0.conv1.weight")
    with pytest.raises(CheckpointError) as caught:
        load_timm(small(), state)
    assert "missing layer1.0.conv1.weight; left over layer1.0.conv9.weight" in str(caught.value)


def test_another_model_is_an_error_and_leaves_ours_untouched():
    model = classifier(ResNetSpec(block="basic", blocks=(2, 2, 2, 2), form="D").build())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"left over conv1\.weight"):
        load_timm(model, foreign_small())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_another_number_of_classes_says_what_to_do():
    with pytest.raises(CheckpointError, match="have 10 classes and the model 3; build it with 10"):
        load_timm(small(classes=3), foreign_small())


def test_another_shape_names_the_tensor():
    spec = ResNetSpec(block="basic", blocks=(2, 2, 2, 2))
    for other in (spec.build(in_channels=1), replace(spec, width=0.5).build()):
        with pytest.raises(CheckpointError, match=r"conv1.weight is \[64, 3, 7, 7\]"):
            load_timm(classifier(other), foreign_small())


def test_only_residual_networks_take_these_weights():
    class Other(Backbone):
        def forward(self, images: Tensor) -> Encoding:
            return Encoding((images,), images.mean((2, 3)))

    with pytest.raises(CheckpointError, match="class Other; weights of timm load into"):
        load_timm(Other(), foreign_small())
