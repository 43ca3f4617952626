from dataclasses import replace

import pytest
import torch
from torch import nn

from vertebra.bench.account import account
from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.layers.linear_head import LinearHead
from vertebra.models.g_ghost import GhostStage, Slice
from vertebra.models.g_ghost_regnet import NAMED, GGhostRegNetSpec
from vertebra.models.shell import ResidualBlock

FIGURES = {
    "g_ghost_regnet_0_2": (1_825_440, 0.131),
    "g_ghost_regnet_0_4": (2_884_456, 0.221),
    "g_ghost_regnet_0_6": (4_029_776, 0.390),
    "g_ghost_regnet_0_8": (5_248_328, 0.529),
    "g_ghost_regnet_1_6": (7_109_660, 1.021),
    "g_ghost_regnet_3_2": (10_511_000, 1.802),
    "g_ghost_regnet_4_0": (15_726_268, 2.228),
    "g_ghost_regnet_6_4": (17_993_748, 4.055),
    "g_ghost_regnet_8_0": (24_586_928, 4.150),
    "g_ghost_regnet_12": (30_627_208, 7.378),
    "g_ghost_regnet_16": (32_381_704, 8.997),
    "g_ghost_regnet_32": (62_815_448, 17.158),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if FIGURES[n][1] > 5 else ()) for n in FIGURES],
)
def test_parameters_and_macs_are_the_published_ones(name):
    parameters, gmacs = FIGURES[name]
    with torch.device("meta"):
        backbone = NAMED[name].build()
        found = account(Classifier(backbone, LinearHead(backbone.width, 1000)), image_size=224)
    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(gmacs, abs=0.0005)


def splits(spec: GGhostRegNetSpec) -> list[tuple[int, int] | None]:
    """Returns (intrinsic, ghosts) of each stage, or None where there are no ghosts."""
    with torch.device("meta"):
        stages = spec.build().get_submodule("stages").children()
        return [widths(stage) if isinstance(stage, GhostStage) else None for stage in stages]


def widths(stage: GhostStage) -> tuple[int, int]:
    split, cheap = stage.split, stage.cheap.get_submodule("conv")
    assert isinstance(split, Slice)
    assert isinstance(cheap, nn.Conv2d)
    return split.intrinsic, cheap.out_channels


def test_channels_divide_as_in_the_released_networks():
    assert splits(NAMED["g_ghost_regnet_3_2"]) == [None, (72, 120), (216, 216), None]
    assert splits(NAMED["g_ghost_regnet_8_0"]) == [None, (90, 150), (360, 360), None]


def test_a_stage_of_three_blocks_has_ghosts_unless_it_is_the_first():
    narrow = GGhostRegNetSpec(blocks=(3, 3, 2, 2), width=0.1)
    assert [split is not None for split in splits(narrow)] == [False, True, True, False]


def test_the_ghost_share_moves_channels_in_whole_groups():
    shares = [replace(NAMED["g_ghost_regnet_8_0"], ghost_share=share) for share in (0.25, 0.9)]
    assert [splits(spec)[2] for spec in shares] == [(540, 180), (90, 630)]


def test_residual_branches_start_at_zero_unless_told_otherwise():
    for zero_init_last in (True, False):
        spec = replace(NAMED["g_ghost_regnet_0_2"], width=0.3, zero_init_last=zero_init_last)
        net = spec.build()
        zeros = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.any()]
        ends = [m.last_norm() for m in net.modules() if isinstance(m, ResidualBlock)]
        assert zeros == (ends if zero_init_last else [])


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", [0.03, 0.3, 1.7])
def test_channels_are_whole_groups_at_any_width(name, width):
    with torch.device("meta"):
        net = replace(NAMED[name], width=width, depth=0.2).build()
    convolutions = [part for part in net.modules() if isinstance(part, nn.Conv2d)]
    spatial = [part for part in convolutions if part.kernel_size == (3, 3)][1:]
    ratios = {part.in_channels % part.groups for part in spatial}
    assert ratios == {0}
    assert net.width == pytest.approx(NAMED[name].channels[-1] * width, rel=0.2, abs=4)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"blocks": (1, 1, 4)}, "blocks=(1, 1, 4); give four whole numbers"),
        ({"channels": (8, 8, 8, 0)}, "channels=(8, 8, 8, 0); give four whole numbers"),
        ({"group_width": 0}, "group_width=0; give a whole number"),
        ({"ghost_share": 1.0}, "ghost_share=1.0; give a share in (0, 1)"),
        ({"width": 0.0}, "width=0.0; give a finite factor"),
        ({"depth": -1.0}, "depth=-1.0; give a finite factor"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        GGhostRegNetSpec(**fields)
    assert words in str(caught.value)


def test_images_without_channels_are_refused():
    with pytest.raises(RecipeError, match="in_channels=0"):
        GGhostRegNetSpec().build(0)
