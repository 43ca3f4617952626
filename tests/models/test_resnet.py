from dataclasses import replace

import pytest
import torch
from tests.models.drawn import randomise
from torch import nn

from vertebra.bench.account import Account, account
from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.layers.drop_block import DropBlock
from vertebra.layers.linear_head import LinearHead
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.residual_blocks import Bottleneck
from vertebra.models.resnet import NAMED, ResNetSpec
from vertebra.models.shell import ResidualBlock

FIGURES = {
    "resnet50a": (25_557_032, 3.858),
    "resnet50": (25_557_032, 4.089),
    "resnet50c": (25_576_264, 4.329),
    "resnet50d": (25_576_264, 4.329),
    "resnet101d": (44_568_392, 8.04),
    "resnet152d": (60_212_040, 11.75),
    "seresnet50": (28_088_024, 4.09),
    "seresnet101": (49_326_872, 7.81),
    "seresnet152": (66_821_848, 11.52),
    "resnext50_32x4d": (25_028_904, 4.23),
    "resnext101_32x4d": (44_177_704, 7.97),
    "seresnext50_32x4d": (27_559_896, 4.23),
    "seresnext101_32x4d": (48_955_416, 7.98),
}
SMALL = ResNetSpec(width=0.125, depth=0.3)


def cost(spec: ResNetSpec, image_size: int = 224) -> Account:
    with torch.device("meta"):
        backbone = spec.build()
        model = Classifier(backbone, LinearHead(backbone.width, 1000))
    return account(model, image_size=image_size)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if FIGURES[n][1] > 5 else ()) for n in FIGURES],
)
def test_parameters_and_macs_are_the_published_ones(name):
    parameters, gmacs = FIGURES[name]
    found = cost(NAMED[name])
    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.002)


@pytest.mark.parametrize(
    ("blocks", "gmacs"),
    [
        ((3, 4, 6, 3), 3.86),
        pytest.param((3, 4, 23, 3), 7.58, marks=pytest.mark.slow),
        pytest.param((3, 8, 36, 3), 11.29, marks=pytest.mark.slow),
    ],
)
def test_gated_networks_of_form_a_cost_what_was_published(blocks, gmacs):
    found = cost(ResNetSpec(blocks=blocks, form="A", squeeze=1 / 16))
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.002)


@pytest.mark.parametrize(
    ("block", "form"), [("basic", "B"), ("bottleneck", "A"), ("bottleneck", "D")]
)
def test_without_branches_depth_is_forgotten(block, form):
    """Zero-init makes every block its shortcut, so blocks without a projection vanish."""
    images = torch.randn(2, 3, 33, 33)
    spec = replace(SMALL, block=block, form=form, squeeze=0.25)
    shallow, deep = (replace(spec, depth=depth).build().eval() for depth in (0.1, 0.5))
    state = {key: value for key, value in deep.state_dict().items() if key in shallow.state_dict()}
    shallow.load_state_dict(state)
    torch.testing.assert_close(shallow(images).vector, deep(images).vector)
    assert deep(images).vector.count_nonzero()


def test_the_same_seed_starts_the_same_network():
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(replace(SMALL, form="D", squeeze=0.25).build().state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_zero_gamma_ends_each_branch_and_nothing_else():
    for zero_init_last in (True, False):
        net = replace(SMALL, form="D", zero_init_last=zero_init_last).build()
        zeros = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.any()]
        ends = [m.last_norm() for m in net.modules() if isinstance(m, ResidualBlock)]
        assert zeros == (ends if zero_init_last else [])


def test_convolutions_start_with_the_variance_of_their_fan_out():
    torch.manual_seed(0)
    weight = (
        ResNetSpec(width=0.5, depth=0.1).build().get_submodule("stages.3.0.spatial.conv").weight
    )
    assert weight.std().item() == pytest.approx((2 / (weight.shape[0] * 9)) ** 0.5, rel=0.01)


def test_rates_of_the_linear_rule_grow_from_zero_to_the_rate():
    assert rates(ResNetSpec(stochastic_depth=0.3)) == pytest.approx(
        [0.3 * place / 15 for place in range(1, 16)]
    )


def test_rates_of_the_stage_rule_are_two_to_five_fifths():
    spec = ResNetSpec(depth=0.1, stochastic_depth=0.1, stochastic_depth_rule="stage")
    assert rates(spec) == pytest.approx([0.04, 0.06, 0.08, 0.1])


def test_rates_of_the_constant_rule_are_one():
    spec = ResNetSpec(depth=0.1, stochastic_depth=0.1, stochastic_depth_rule="constant")
    assert rates(spec) == [0.1] * 4


def rates(spec: ResNetSpec) -> list[float]:
    with torch.device("meta"):
        return [m.rate for m in spec.build().modules() if isinstance(m, StochasticDepth)]


def test_drop_block_stands_in_the_last_two_stages():
    with torch.device("meta"):
        net = ResNetSpec(depth=0.1, drop_block=0.1).build()
    found = {
        name: (m.size, m.gamma_scale) for name, m in net.named_modules() if isinstance(m, DropBlock)
    }
    assert found == {"stages.2.0.spatial.act.0": (5, 0.25), "stages.3.0.spatial.act.0": (3, 1.0)}


def test_evaluation_is_blind_to_what_is_dropped():
    spec = replace(SMALL, stochastic_depth=0.5, drop_block=0.3)
    noisy, calm = spec.build(), SMALL.build()
    calm.load_state_dict(randomise(noisy).state_dict())
    images = torch.randn(2, 3, 40, 40)
    assert torch.equal(noisy.eval()(images).vector, calm.eval()(images).vector)
    assert not torch.equal(noisy.train()(images).vector, noisy(images).vector)


def test_without_a_stem_pool_the_maps_are_twice_as_fine():
    net = replace(SMALL, stem_pool=None).build()
    assert [each.stride for each in net.maps] == [2, 4, 8, 16]
    assert [m.shape[-1] for m in net(torch.zeros(2, 3, 32, 32)).maps] == [16, 8, 4, 2]


def test_the_block_strides_where_its_form_says():
    strides = {}
    for form in ("A", "B"):
        with torch.device("meta"):
            block = ResNetSpec(form=form).build().get_submodule("stages.1.0")
        assert isinstance(block, Bottleneck)
        strides[form] = (block.reduce.conv.stride[0], block.spatial.conv.stride[0])
    assert strides == {"A": (2, 1), "B": (1, 2)}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"form": "E"}, "form='E'; choose one of 'A', 'B', 'C', 'D'"),
        ({"block": "wide"}, "block='wide'; choose one of"),
        ({"stem_pool": "mean"}, "choose one of 'max', 'conv', None"),
        ({"stochastic_depth_rule": "cubic"}, "choose one of 'linear', 'stage', 'constant'"),
        ({"blocks": (3, 4, 0, 3)}, "four whole numbers"),
        ({"blocks": (3, 4, 6)}, "four whole numbers"),
        ({"width": 0.0}, "width=0.0; give a finite factor"),
        ({"depth": float("inf")}, "depth=inf; give a finite factor"),
        ({"squeeze": 0.0}, "None for none"),
        ({"groups": 0}, "groups=0; give a whole number"),
        ({"block": "basic", "groups": 32}, "only a bottleneck has groups"),
        ({"stochastic_depth": 1.0}, "stochastic_depth=1.0; give a rate"),
        ({"drop_block": -0.1}, "drop_block=-0.1; give a rate"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        ResNetSpec(**fields)
    assert words in str(caught.value)


def test_images_without_channels_are_refused():
    with pytest.raises(RecipeError, match="in_channels=0"):
        SMALL.build(0)
