from dataclasses import replace

import pytest
import timm
import torch
from tests.models.drawn import randomise
from tests.models.test_weights import assert_parity, classifier
from torch import nn

from vertebra.bench.account import account
from vertebra.contracts import Classifier
from vertebra.errors import CheckpointError, RecipeError
from vertebra.layers.selective_kernel import SelectiveKernel, SelectiveKernelSpec
from vertebra.models.classifier import build_classifier
from vertebra.models.resnet import NAMED as RESNETS
from vertebra.models.resnet import ResNetSpec
from vertebra.models.sknet import NAMED, TIMM_NAMES
from vertebra.models.weights import load_timm

FIGURES = {
    "sknet26": (16_746_408, 2.59),
    "sknet50": (27_479_784, 4.46),
    "sknet101": (48_736_040, 8.45),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if FIGURES[n][1] > 5 else ()) for n in FIGURES],
)
def test_parameters_and_macs_are_the_published_ones(name):
    parameters, gmacs = FIGURES[name]
    with torch.device("meta"):
        model = build_classifier(NAMED[name], classes=1000)
    found = account(model, image_size=224)
    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.002)


def both(blocks: tuple[int, ...]) -> tuple[nn.Module, Classifier]:
    """Returns timm's network, randomised, and ours with its weights."""
    torch.manual_seed(0)
    theirs = timm.create_model(TIMM_NAMES["sknet50"], num_classes=10, layers=list(blocks))
    ours = classifier(replace(NAMED["sknet50"], blocks=blocks).build())
    load_timm(ours, randomise(theirs).eval().state_dict())
    return theirs, ours


@pytest.mark.parametrize(
    "blocks", [(1, 1, 1, 1), pytest.param((3, 4, 6, 3), marks=pytest.mark.slow)]
)
def test_timm_and_we_give_the_same_maps_and_logits(blocks):
    assert_parity(*both(blocks))


def test_weights_of_plain_groups_are_left_over():
    plain = timm.create_model("resnext50_32x4d", num_classes=10, layers=[1, 1, 1, 1])
    with pytest.raises(CheckpointError, match=r"missing layer1\.0\.conv1\.conv\.weight"):
        load_timm(
            classifier(replace(NAMED["sknet50"], blocks=(1, 1, 1, 1)).build()), plain.state_dict()
        )


def test_only_the_middle_convolution_differs_from_resnext():
    with torch.device("meta"):
        ours, plain = (
            replace(spec, depth=0.1).build()
            for spec in (NAMED["sknet50"], RESNETS["resnext50_32x4d"])
        )
    outside = [
        {key: value.shape for key, value in net.state_dict().items() if ".spatial." not in key}
        for net in (ours, plain)
    ]
    assert outside[0] == outside[1]
    parts = [m for m in ours.modules() if isinstance(m, SelectiveKernel)]
    assert [part.branches[0].conv.in_channels for part in parts] == [128, 256, 512, 1024]


def test_selective_kernels_fit_another_form_with_a_gate_and_what_drops():
    spec = ResNetSpec(
        form="D",
        spatial=SelectiveKernelSpec(dilations=(1, 2, 3)),
        squeeze=0.25,
        drop_block=0.2,
        stochastic_depth=0.2,
        width=0.125,
        depth=0.1,
        zero_init_last=False,
    )
    net = randomise(spec.build())
    encoding = net(torch.randn(8, 3, 40, 33))
    assert [m.shape[-2:] for m in encoding.maps] == [(10, 9), (5, 5), (3, 3), (2, 2)]
    encoding.vector.square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_a_batch_of_one_evaluates_and_training_with_it_is_refused():
    net, image = replace(NAMED["sknet26"], width=0.125).build(), torch.randn(1, 3, 64, 64)
    assert net.eval()(image).vector.isfinite().all()
    with pytest.raises(RecipeError, match="give at least 2 images to each device"):
        net.train()(image)


def test_basic_blocks_have_no_place_for_it():
    with pytest.raises(RecipeError, match="block='basic'; only a bottleneck has a place for it"):
        ResNetSpec(block="basic", spatial=SelectiveKernelSpec())
