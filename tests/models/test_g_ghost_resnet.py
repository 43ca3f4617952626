from dataclasses import replace

import pytest
import torch
from tests.models.drawn import randomise

from vertebra.bench.account import account
from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.layers.linear_head import LinearHead
from vertebra.models.g_ghost import GhostStage
from vertebra.models.g_ghost_resnet import NAMED, GGhostResNetSpec
from vertebra.models.resnet import ResNetSpec


def parameters(spec: GGhostResNetSpec) -> int:
    with torch.device("meta"):
        backbone = spec.build()
        model = Classifier(backbone, LinearHead(backbone.width, 1000))
    return sum(p.numel() for p in model.parameters())


def test_a_hundred_and_one_layers_have_the_parameters_that_were_printed():
    assert parameters(replace(NAMED["g_ghost_resnet101"], split="convolution")) == 38_216_872


@pytest.mark.parametrize(
    ("name", "count"), [("g_ghost_resnet50", 24_821_416), ("g_ghost_resnet101", 34_038_952)]
)
def test_slicing_saves_the_convolutions_that_split_and_half_of_the_cheap_ones(name, count):
    """Of c channels, the former have c^2 / 2 weights, the latter c^2 / 2 instead of c^2 / 4."""
    saved = sum((4 * inner) ** 2 * 3 // 4 for inner in (64, 128, 256, 512))
    sliced = parameters(NAMED[name])
    assert sliced == count
    assert parameters(replace(NAMED[name], split="convolution")) - sliced == saved


@pytest.mark.parametrize(
    ("name", "gmacs"), [("g_ghost_resnet50", 2.990), ("g_ghost_resnet101", 3.922)]
)
def test_operations_are_what_the_card_says(name, gmacs):
    with torch.device("meta"):
        backbone = NAMED[name].build()
        found = account(Classifier(backbone, LinearHead(backbone.width, 1000)), image_size=224)
    assert found.macs / 1e9 == pytest.approx(gmacs, abs=0.0005)


def test_every_stage_of_three_blocks_has_ghosts():
    with torch.device("meta"):
        net = GGhostResNetSpec(blocks=(3, 2, 1, 4)).build()
    has_ghosts = [isinstance(stage, GhostStage) for stage in net.get_submodule("stages").children()]
    assert has_ghosts == [True, False, True, True]


def test_stages_too_short_for_ghosts_are_those_of_a_residual_network():
    torch.manual_seed(0)
    net = randomise(GGhostResNetSpec(blocks=(1, 2, 3, 2), width=0.125).build()).eval()
    plain = ResNetSpec(blocks=(1, 2, 3, 2), width=0.125).build().eval()
    state = net.state_dict()
    plain.load_state_dict(
        {key: state.get(key, value) for key, value in plain.state_dict().items()}, strict=True
    )
    images = torch.randn(2, 3, 40, 40)
    for mine, other in zip(net(images).maps[:2], plain(images).maps[:2], strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"blocks": (3, 4, 0, 3)}, "blocks=(3, 4, 0, 3); give four whole numbers"),
        ({"ghost_share": 0.0}, "ghost_share=0.0; give a share in (0, 1)"),
        ({"split": "fold"}, "split='fold'; choose one of 'slice', 'convolution'"),
        ({"width": 0.0}, "width=0.0; give a finite factor"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        GGhostResNetSpec(**fields)
    assert words in str(caught.value)


def test_images_without_channels_are_refused():
    with pytest.raises(RecipeError, match="in_channels=0"):
        GGhostResNetSpec().build(0)
