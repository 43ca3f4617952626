from dataclasses import replace

import pytest
import timm
import torch
from tests.models.drawn import randomise
from tests.models.test_weights import assert_parity, classifier
from torch import Tensor, nn

from vertebra.bench.account import account
from vertebra.errors import RecipeError
from vertebra.layers.drop_block import DropBlock
from vertebra.layers.split_attention import SplitAttention, SplitAttentionSpec
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.classifier import build_classifier
from vertebra.models.residual_blocks import Bottleneck
from vertebra.models.resnest import BLOCKS, NAMED, ROWS, TIMM_NAMES, resnest
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shelf import SHELF
from vertebra.models.shell import ResidualNet
from vertebra.models.weights import load_timm

SMALL = replace(resnest(50, radix=2, cardinality=2, group_width=40), width=0.125, depth=0.3)
GROUPED = ["resnest50_fast_4s2x40d", "resnest50_fast_1s4x24d"]
QUICK = {"resnest14", "resnest26", "resnest50_fast_4s2x40d"}
AT_224 = {"resnest101": 10.20, "resnest200": 17.41, "resnest269": 22.43}


def gmacs(spec: ResNetSpec, image_size: int) -> float:
    with torch.device("meta"):
        model = build_classifier(spec, classes=1000)
    return account(model, image_size=image_size).macs / 1e9


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_parameters_are_the_published_ones(row):
    with torch.device("meta"):
        model = build_classifier(NAMED[row.name], classes=1000)
    assert sum(parameter.numel() for parameter in model.parameters()) == row.parameters


@pytest.mark.parametrize(
    "row",
    [pytest.param(r, marks=() if r.name in QUICK else pytest.mark.slow, id=r.name) for r in ROWS],
)
def test_macs_are_the_published_ones(row):
    assert gmacs(NAMED[row.name], row.image_size) == pytest.approx(row.gmacs, rel=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("name", AT_224)
def test_macs_of_the_deep_ones_at_224_px_are_the_published_ones(name):
    assert gmacs(NAMED[name], 224) == pytest.approx(AT_224[name], rel=0.002)


def test_the_rows_are_the_names_with_the_image_sizes_of_the_shelf():
    assert [row.name for row in ROWS] == list(NAMED)
    assert [row.image_size for row in ROWS] == [SHELF[name].image_size for name in NAMED]
    assert set(TIMM_NAMES) < set(NAMED)


def test_pooling_first_saves_a_billion_operations_and_no_parameter():
    names = ("resnest50_fast_2s1x64d", "resnest50")
    with torch.device("meta"):
        nets = [replace(NAMED[name], depth=0.1).build() for name in names]
    costs = [account(net, image_size=224) for net in nets]
    assert costs[0].parameters == costs[1].parameters
    assert 0.9e9 < costs[1].macs - costs[0].macs < 1.1e9


def shallow(name: str, blocks: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    """Returns timm's network with fewer blocks, randomised, and ours with its weights."""
    torch.manual_seed(0)
    theirs = timm.create_model(TIMM_NAMES[name], num_classes=10, layers=list(blocks))
    ours = classifier(replace(NAMED[name], blocks=blocks).build())
    load_timm(ours, randomise(theirs).eval().state_dict())
    return theirs, ours


@pytest.mark.parametrize("name", ["resnest14", *GROUPED])
def test_shallow_ones_give_the_same_maps_and_logits_as_timm(name):
    assert_parity(*shallow(name, (1, 1, 1, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM_NAMES)
def test_timm_and_we_give_the_same_maps_and_logits(name):
    assert_parity(*shallow(name, NAMED[name].blocks))


def test_zero_gamma_makes_each_block_without_a_projection_its_rectified_input():
    net = SMALL.build().eval()
    blocks = [m for m in net.modules() if isinstance(m, Bottleneck)]
    plain = [each for each in blocks if isinstance(each.shortcut, nn.Identity)]
    assert plain
    for block in plain:
        x = torch.randn(2, block.out_channels, 4, 4)
        assert torch.equal(block(x), x.relu())


def test_stochastic_depth_drops_the_branch_and_keeps_the_shortcut():
    torch.manual_seed(0)
    net = randomise(replace(SMALL, stochastic_depth=0.5, drop_block=0.1).build()).train()
    block = net.get_submodule("stages.3.0")
    assert isinstance(block, Bottleneck)
    assert isinstance(block.stochastic_depth, StochasticDepth)
    x = torch.randn(16, block.reduce.conv.in_channels, 4, 4)
    is_shortcut = torch.isclose(block(x), block.shortcut(x).relu()).all(dim=(1, 2, 3))
    assert 0 < is_shortcut.sum() < 16


def test_drop_block_stands_inside_the_attention():
    with torch.device("meta"):
        net = replace(resnest(14), drop_block=0.1).build()
    found = [name for name, m in net.named_modules() if isinstance(m, DropBlock)]
    assert found == [f"stages.{stage}.0.spatial.attend.splits.act.0" for stage in (2, 3)]


@pytest.mark.parametrize("form", ["A", "B", "D"])
def test_split_attention_fits_every_form_of_bottleneck_with_a_gate_and_groups(form):
    spec = ResNetSpec(
        form=form,
        groups=3,
        group_width=10,
        spatial=SplitAttentionSpec(radix=4),
        squeeze=0.25,
        width=0.125,
        depth=0.1,
        zero_init_last=False,
    )
    net = randomise(spec.build())
    images = torch.randn(2, 3, 40, 33)
    encoding = net(images)
    assert [m.shape[-2:] for m in encoding.maps] == [(10, 9), (5, 5), (3, 3), (2, 2)]
    encoding.vector.square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_groups_widen_to_what_the_splits_divide():
    widths = [
        m.splits.conv.in_channels
        for m in replace(NAMED["resnest50_fast_4s2x40d"], width=0.25, depth=0.1).build().modules()
        if isinstance(m, SplitAttention)
    ]
    assert widths == [2 * 12, 2 * 20, 2 * 40, 2 * 80]  # 10 channels in each group become 12


def test_a_batch_of_one_evaluates_and_training_with_it_is_refused():
    net, image = SMALL.build(), torch.randn(1, 3, 64, 64)
    assert net.eval()(image).vector.isfinite().all()
    with pytest.raises(RecipeError, match="give at least 2 images to each device"):
        net.train()(image)


@pytest.mark.parametrize("radix", [1, 2])
def test_a_few_images_are_learnt_by_heart(radix):
    torch.manual_seed(0)
    net = classifier(replace(resnest(14, radix=radix), width=0.125).build(), classes=4).train()
    images, targets = torch.randn(16, 3, 32, 32), torch.arange(16) % 4
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses: list[Tensor] = []
    for _ in range(25):
        losses.append(nn.functional.cross_entropy(net(images), targets))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]


def test_a_depth_without_a_layout_is_refused_with_those_that_have_one():
    with pytest.raises(RecipeError) as caught:
        resnest(152)
    assert str(caught.value) == (
        f"depth=152 has no stage layout; choose one of {', '.join(map(str, BLOCKS))}"
    )


def test_basic_blocks_have_no_place_for_it():
    with pytest.raises(RecipeError, match="block='basic'; only a bottleneck has a place for it"):
        ResNetSpec(block="basic", spatial=SplitAttentionSpec())


def test_every_named_network_is_built_by_the_shared_shell():
    with torch.device("meta"):
        assert all(isinstance(replace(s, depth=0.1).build(), ResidualNet) for s in NAMED.values())
