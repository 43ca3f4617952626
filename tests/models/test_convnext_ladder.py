import re
from collections.abc import Sequence
from dataclasses import fields, replace

import pytest
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.bench.account import Account, account
from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.layers.linear_head import LinearHead
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models import convnext, resnet
from vertebra.models.convnext_ladder import LADDER, NAMED, Rung, Step
from vertebra.models.convnext_rung import ConvNeXtRungSpec
from vertebra.models.convnext_rung_parts import LayerScale, NormedConv, RungBlock
from vertebra.models.names import Names, Rule

FAST = ("resnet", "depthwise", "moved_up", "layer_norm", "downsampling")
TINY = [step.tiny for step in LADDER]
BASE = [step.base for step in LADDER]
PARAMETERS = {
    "convnext_ladder_t00_resnet": 25_557_032,
    "convnext_ladder_t15_downsampling": 28_589_128,
    "convnext_ladder_b15_downsampling": 88_591_464,
}
WORD = re.compile(r"convnext_ladder_[tb]\d\d_(\w+)")
NARROW = {"width": 0.25}


def rung(word: str) -> ConvNeXtRungSpec:
    return next(spec for name, spec in NAMED.items() if name.endswith(f"_{word}"))


def marked(rungs: list[Rung], fast: tuple[str, ...]):
    for each in rungs:
        is_fast = WORD.fullmatch(each.name)[1] in fast
        yield pytest.param(each, id=each.name, marks=() if is_fast else pytest.mark.slow)


def cost(spec: ConvNeXtRungSpec) -> Account:
    with torch.device("meta"):
        backbone = spec.build()
        model = Classifier(backbone, LinearHead(backbone.width, 1000))
    return account(model, image_size=224)


@pytest.mark.parametrize("of", [*marked(TINY, FAST), *marked(BASE, ())])
def test_each_rung_costs_what_was_published(of):
    found = cost(of.spec)
    gmacs = of.published.gmacs
    if of.name == "convnext_ladder_t14_layer_norm":
        gmacs = TINY[13].published.gmacs  # what is printed here is the next rung's, see the module
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.01)
    assert found.parameters == PARAMETERS.get(of.name, found.parameters)


def changed(before: ConvNeXtRungSpec, after: ConvNeXtRungSpec) -> list[str]:
    names = [each.name for each in fields(before)]
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def climb(way: str) -> list[tuple[Step, list[str]]]:
    """Returns each step but the first, and the fields it changes against the last kept one."""
    found: list[tuple[Step, list[str]]] = []
    kept = getattr(LADDER[0], way).spec
    for step in LADDER[1:]:
        spec = getattr(step, way).spec
        found.append((step, changed(kept, spec)))
        kept = spec if step.is_kept else kept
    return found


def test_each_step_changes_one_field():
    order = ["blocks", "stem", "is_depthwise", "channels", "is_inverted", "layout"]
    order += ["kernel"] * 4 + ["activation", "layout", "layout", "norm", "downsampling"]
    assert [names for _, names in climb("tiny")] == [[name] for name in order]


def test_the_larger_way_changes_the_same_fields_but_widens_as_it_loses_blocks():
    both = zip(climb("tiny"), climb("base"), strict=True)
    differing = [(of_tiny, of_base) for (_, of_tiny), (_, of_base) in both if of_tiny != of_base]
    assert differing == [(["blocks"], ["blocks", "channels"])]


def test_only_the_largest_kernels_are_not_kept():
    assert [step.tiny.spec.kernel for step in LADDER if not step.is_kept] == [9, 11]


def test_names_count_the_steps_and_share_a_word():
    for place, step in enumerate(LADDER):
        word = WORD.fullmatch(step.tiny.name)[1]
        assert step.tiny.name == f"convnext_ladder_t{place:02}_{word}"
        assert step.base.name == f"convnext_ladder_b{place:02}_{word}"


def test_the_published_way_up_gains_three_points():
    for rungs, gain in ((TINY, 0.0315), (BASE, 0.0246)):
        assert rungs[-1].published.top1 - rungs[0].published.top1 == pytest.approx(gain)


def copied(net: nn.Module, to: nn.Module, rules: Sequence[Rule]) -> None:
    """Loads the state of one network into another; a 1x1 convolution fits a linear layer."""
    state, wanted = net.state_dict(), to.state_dict()
    names = {name: Names("", rules, ()).translate(name) for name in state}
    assert sorted(names.values()) == sorted(wanted)
    to.load_state_dict(
        {names[name]: tensor.reshape(wanted[names[name]].shape) for name, tensor in state.items()}
    )


def test_the_first_rung_is_the_residual_network():
    rules = (
        (r"\.branch\.enter\.", ".reduce."),
        (r"\.branch\.spatial\.", ".spatial."),
        (r"\.branch\.leave\.", ".expand."),
    )
    for of in (TINY[0], BASE[0]):
        foot = randomise(replace(of.spec, **NARROW).build()).eval()
        wanted = resnet.ResNetSpec(blocks=of.spec.blocks, **NARROW).build().eval()
        copied(foot, wanted, rules)
        assert_same(foot, wanted)


def test_the_last_rung_is_convnext():
    rules = (
        (r"^stem\.whole\.", "stem."),
        (r"^(stages\.\d+)\.0\.before\.", r"\1.0.downsample."),
        (
            r"^(stages\.\d+)\.(\d+)\.branch\.",
            lambda found: f"{found[1]}.{int(found[2]) // 3}.block{found[2]}.",
        ),
        (r"\.spatial\.conv\.", ".spatial."),
        (r"\.spatial\.norm\.", ".norm."),
        (r"\.enter\.", ".expand."),
        (r"\.leave\.", ".reduce."),
        (r"\.scale\.weight$", ".gamma"),
    )
    for of, name in ((TINY[-1], "convnext_tiny"), (BASE[-1], "convnext_base")):
        top = randomise(replace(of.spec, **NARROW).build()).eval()
        wanted = replace(convnext.NAMED[name], **NARROW).build().eval()
        copied(top, wanted, rules)
        assert_same(top, wanted)


def assert_same(net: nn.Module, other: nn.Module) -> None:
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        found, wanted = net(images), other(images)
    assert found.vector.std() > 0.05
    for mine, theirs in zip(
        (*found.maps, found.vector), (*wanted.maps, wanted.vector), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def norm_of(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def test_a_block_in_the_middle_of_the_way_is_what_the_paper_draws():
    """Depthwise first, each convolution normed, two inner activations and one after the sum."""
    net = randomise(replace(rung("kernel5"), width=0.25, depth=0.3).build()).eval()
    block = net.stages[1][0]
    assert isinstance(block, RungBlock)
    x = torch.randn(2, 24, 9, 9)
    spatial, enter, leave = (block.branch.get_submodule(n) for n in ("spatial", "enter", "leave"))
    with torch.no_grad():
        y = F.conv2d(x, spatial.conv.weight, stride=2, padding=2, groups=24)
        y = norm_of(y, spatial.norm).relu()
        y = norm_of(F.conv2d(y, enter.conv.weight), enter.norm).relu()
        y = norm_of(F.conv2d(y, leave.conv.weight), leave.norm)
        shortcut = norm_of(F.conv2d(x, block.shortcut.conv.weight, stride=2), block.shortcut.norm)
        torch.testing.assert_close(block(x), (y + shortcut).relu())
    assert (enter.conv.in_channels, enter.conv.out_channels) == (24, 192)
    assert (leave.conv.in_channels, leave.conv.out_channels) == (192, 48)


@pytest.mark.parametrize(
    ("word", "norms", "activations"),
    [
        ("resnet", 3, 3),
        ("moved_up", 3, 3),
        ("gelu", 3, 3),
        ("one_act", 3, 1),
        ("one_norm", 1, 1),
        ("layer_norm", 1, 1),
        ("downsampling", 1, 1),
    ],
)
def test_a_block_has_as_many_norms_and_activations_as_its_rung_says(word, norms, activations):
    with torch.device("meta"):
        block = rung(word).build().stages[1][1]
    parts = [*block.modules()]
    assert sum(isinstance(each, nn.BatchNorm2d | nn.LayerNorm) for each in parts) == norms
    assert sum(isinstance(each, nn.ReLU | nn.GELU) for each in parts) == activations


def test_where_the_last_norm_goes_its_scale_stays():
    for step in LADDER:
        with torch.device("meta"):
            net = replace(step.tiny.spec, depth=0.1).build()
        blocks = [m for m in net.modules() if isinstance(m, RungBlock)]
        ends = {type(block.last_norm()) for block in blocks}
        wanted = LayerScale if step.tiny.spec.layout == "one_norm" else nn.BatchNorm2d
        assert ends == {wanted}


def test_every_branch_starts_at_zero_or_nearly_so():
    for step in LADDER:
        spec = replace(step.tiny.spec, width=0.125, depth=0.1)
        for block in (m for m in spec.build().modules() if isinstance(m, RungBlock)):
            assert block.last_norm().get_parameter("weight").abs().max() <= 1e-6


def test_convolutions_have_a_bias_where_no_batch_norm_follows():
    for step in LADDER:
        with torch.device("meta"):
            net = replace(step.base.spec, depth=0.1).build()
        normed = [m for m in net.modules() if isinstance(m, NormedConv)]
        before_batch_norm = {id(m.conv) for m in normed if isinstance(m.norm, nn.BatchNorm2d)}
        for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
            assert (conv.bias is None) == (id(conv) in before_batch_norm)


def test_folding_leaves_no_batch_norm():
    for step in LADDER:
        net = replace(step.tiny.spec, width=0.125, depth=0.1).build().fused()
        left = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(left) == 0
        assert not any(isinstance(m, nn.Conv2d) and m.bias is None for m in net.modules())


def test_rates_of_stochastic_depth_grow_from_zero_to_the_rate_over_all_blocks():
    for step in (LADDER[0], LADDER[-1]):
        with torch.device("meta"):
            net = replace(step.tiny.spec, stochastic_depth=0.1).build()
        rates = [m.rate for m in net.modules() if isinstance(m, StochasticDepth)]
        blocks = sum(step.tiny.spec.blocks)
        assert rates == pytest.approx([0.1 * n / (blocks - 1) for n in range(1, blocks)])


def test_titles_tell_the_steps_apart():
    assert len({step.title for step in LADDER}) == len(LADDER)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stem": "conv"}, "stem='conv'; choose one of 'resnet', 'patches'"),
        ({"layout": "two_acts"}, "layout='two_acts'; choose one of"),
        ({"activation": "silu"}, "choose one of 'relu', 'gelu'"),
        ({"norm": "group"}, "choose one of 'batch', 'layer'"),
        ({"downsampling": "pool"}, "choose one of 'in_block', 'between'"),
        ({"downsampling": "between"}, "give norm='layer'"),
        ({"kernel": 4}, "kernel=4; give an odd side"),
        ({"blocks": (3, 3, 9)}, "four whole numbers"),
        ({"channels": 0}, "channels=0; give a whole number"),
        ({"width": 0.0}, "width=0.0; give a finite factor"),
        ({"stochastic_depth": 1.0}, "stochastic_depth=1.0; give a rate"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(values, words):
    with pytest.raises(RecipeError) as caught:
        ConvNeXtRungSpec(**values)
    assert words in str(caught.value)


def test_images_without_channels_are_refused():
    with pytest.raises(RecipeError, match="in_channels=0"):
        ConvNeXtRungSpec().build(0)
