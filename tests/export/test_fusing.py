"""Operators are joined where that gives the same."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.export import fusing
from vertebra.export.operators import Operators, fused_operators
from vertebra.export.recorded import name_of
from vertebra.layers.winograd import convolve


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def fast_form(net: nn.Module, images: Tensor) -> Operators:
    """Returns the fused form, which gives the same for these images."""
    net = net.eval().requires_grad_(False)
    found = fused_operators(deepcopy(net), images[:1], count=len(images))
    assert found is not None
    tolerance = 1e-5 if images.dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found.module(images), net(images), rtol=tolerance, atol=tolerance)
    return found


def names(found: Operators) -> list[str]:
    return [name_of(node) for node in found.module.graph.nodes if node.op == "call_function"]


class Apply(nn.Module):
    """Parts, and what is done with them and the images."""

    def __init__(self, does: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.does = does

    def forward(self, x: Tensor) -> Tensor:
        return self.does(*self.parts, x)


ACTIVATIONS = [
    nn.ReLU(),
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.SiLU(),
    nn.Hardswish(),
    nn.Sigmoid(),
    nn.Hardsigmoid(),
    nn.Tanh(),
    nn.LeakyReLU(0.2),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
]


@pytest.mark.parametrize("act", ACTIVATIONS, ids=str)
def test_an_activation_joins_the_convolution_or_the_linear_map_before_it(act: nn.Module):
    conv = fast_form(nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, stride=2), act), draw(2, 3, 9, 9))
    assert names(conv) == ["mkldnn::_convolution_pointwise"] and conv.packed == 1
    linear = fast_form(nn.Sequential(nn.Linear(9, 5), act), draw(2, 3, 9, 9))
    assert names(linear) == ["mkldnn::_linear_pointwise"] and linear.packed == 1


def test_an_activation_of_a_result_that_others_read_stays():
    found = fast_form(
        Apply(lambda conv, x: F.relu(y := conv(x)) * y.sum(), nn.Conv2d(3, 3, 1)), draw(2, 3, 5, 5)
    )
    assert "aten::relu_" in names(found) or "aten::relu" in names(found)


def test_a_convolution_that_is_used_twice_keeps_its_activations_apart():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    net = nn.Sequential(conv, nn.ReLU(), nn.Sequential(conv, nn.SiLU()))
    assert names(fast_form(net, draw(2, 3, 8, 8))) == ["mkldnn::_convolution_pointwise"] * 2


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 8, 3, groups=4, dilation=2, padding=2),
        nn.Conv2d(4, 8, 3, bias=False),
        nn.Conv2d(4, 8, (1, 3), stride=(2, 1), padding=(0, 1)),
        nn.Conv2d(4, 4, 7, groups=4, padding=3),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_every_kind_of_convolution_packs(conv: nn.Conv2d, count: int):
    assert fast_form(conv, draw(count, 4, 12, 12)).packed == 1


@pytest.mark.parametrize(
    "conv",
    [nn.Conv2d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")],
)
def test_what_pads_otherwise_gives_the_same(conv: nn.Conv2d):
    fast_form(conv, draw(2, 4, 12, 12))


def test_packed_weights_give_their_memory_back_and_others_keep_it():
    net = Apply(
        lambda f, g, h, x: f(x) + g(x * 2) + h(x) * h.weight.mean(),
        *(nn.Conv2d(3, 3, 1) for _ in range(3)),
    )
    first, second, _ = net.parts
    second.weight = first.weight  # the same by another name
    net.eval().requires_grad_(False)
    images = draw(2, 3, 5, 5)
    wanted = net(images)
    net_too = deepcopy(net)
    found = fused_operators(net, images[:1], count=2)
    assert found is not None and found.packed == 3
    torch.testing.assert_close(found.module(images), wanted, rtol=1e-5, atol=1e-5)
    assert first.weight.untyped_storage().nbytes() == 0
    torch.testing.assert_close(net_too(images), wanted)


def wide(*, stride: int = 1, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution of many channels, with weights as large as torch's, always the same."""
    conv = nn.Conv2d(
        128 * groups, 128 * groups, 3, stride=stride, padding=1, groups=groups, bias=bias
    )
    nn.init.uniform_(conv.weight, -0.03, 0.03, generator=torch.Generator().manual_seed(2))
    return conv


def targets(found: Operators) -> list[object]:
    return [node.target for node in found.module.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize(
    ("does", "after"),
    [
        (lambda f, x: f(x), []),
        (lambda f, x: F.relu(f(x)), []),
        (lambda f, x: f(x) + x, []),
        (lambda f, x: F.relu(x + f(x)), []),
        (lambda f, x: F.silu(f(x)), ["aten::silu_"]),
    ],
)
@pytest.mark.parametrize("conv", [wide(), wide(bias=False), wide(groups=2)], ids=str)
def test_many_channels_go_by_fewer_products(
    conv: nn.Conv2d, does: Callable[..., Tensor], after: list[str]
):
    found = fast_form(Apply(does, conv), draw(2, conv.in_channels, 16, 12))
    first, *others = targets(found)
    assert first is convolve and [name for name in names(found) if name] == after
    assert len(others) == len(after) and found.packed == 1


@pytest.mark.parametrize(
    ("conv", "images"),
    [
        (wide(), draw(1, 128, 16, 16)),
        (wide(), draw(2, 128, 8, 8)),
        (wide(), draw(2, 128, 16, 16).bfloat16()),
        (wide(stride=2), draw(2, 128, 32, 32)),
        (nn.Conv2d(128, 32, 3), draw(2, 128, 16, 16)),
        (wide(), draw(20, 128, 2, 2)),
        (nn.Conv2d(128, 128, 3, dilation=2), draw(2, 128, 20, 20)),
        (nn.Conv2d(128, 128, (3, 1)), draw(2, 128, 16, 16)),
    ],
    ids=[
        "one image",
        "few tiles",
        "bf16",
        "stride",
        "few channels",
        "few positions",
        "holes",
        "3x1",
    ],
)
def test_others_go_by_packed_weights(conv: nn.Conv2d, images: Tensor):
    found = fast_form(conv.to(images.dtype), images)
    assert names(found) == ["mkldnn::_convolution_pointwise"]


def test_where_sparse_products_are_slow_all_go_by_packed_weights(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fusing, "is_fast", lambda: False)
    assert names(fast_form(wide(), draw(2, 128, 16, 12))) == ["mkldnn::_convolution_pointwise"]


def two() -> tuple[nn.Conv2d, nn.Conv2d]:
    return nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)


@pytest.mark.parametrize(
    "does",
    [
        lambda f, g, x: F.relu(f(x) + g(x)),
        lambda f, g, x: F.relu(g(x) + f(x), inplace=True),
        lambda f, g, x: f(x).add_(g(x)).relu_(),
    ],
)
def test_a_residual_sum_and_its_activation_are_one_call(does: Callable[..., Tensor]):
    found = fast_form(Apply(does, *two()), draw(2, 3, 6, 6))
    assert names(found) == ["mkldnn::_convolution_pointwise", "mkldnn::_convolution_pointwise_"]


@pytest.mark.parametrize(
    "does",
    [
        lambda f, g, x: torch.add(f(x), g(x), alpha=2),
        lambda f, g, x: f(x) + g(x).mean((2, 3), keepdim=True),
        lambda f, g, x: f(x) + 1,
        lambda f, g, x: f(x) + x.shape[0],
        lambda f, g, x: x.shape[0] * f(x) + g(x).mean((2, 3), keepdim=True),
        lambda f, g, x: f(x) + f.bias.view(-1, 1, 1),
        lambda f, g, x: (y := f(x)) + y,
        lambda f, g, x: f(x) - g(x),
    ],
)
def test_other_sums_stay(does: Callable[..., Tensor]):
    found = fast_form(Apply(does, *two()), draw(2, 3, 6, 6))
    assert not any("binary" in str(target) for target in targets(found))


def test_a_linear_map_adds_to_its_shortcut():
    found = fast_form(Apply(lambda f, x: x + f(x), nn.Linear(6, 6)), draw(2, 3, 5, 6))
    assert names(found) == ["mkldnn::_linear_pointwise"]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_linear_map_over_channels_adds_to_its_shortcut(is_first: bool):
    def does(f: nn.Module, x: Tensor) -> Tensor:
        branch = f(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return branch + x if is_first else x + branch

    found = fast_form(Apply(does, nn.Linear(6, 6)), draw(2, 6, 5, 4))
    assert torch.ops.mkldnn._linear_pointwise.binary in targets(found)
    assert "aten::add" not in names(found)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_linear_map_over_tokens_adds_to_a_shortcut_of_another_shape(is_first: bool):
    def does(f: nn.Module, x: Tensor) -> Tensor:
        branch = f(x.flatten(1, 2)).view(x.shape)
        branch = branch.add_(x) if is_first else x + branch
        return branch.relu()

    found = fast_form(Apply(does, nn.Linear(6, 6)), draw(2, 5, 4, 6))
    assert torch.ops.mkldnn._linear_pointwise.binary in targets(found)
    assert "aten::add_" not in names(found) and "aten::add" not in names(found)


def test_without_a_bias():
    found = fast_form(Apply(lambda f, x: x + f(x), nn.Linear(6, 6, bias=False)), draw(2, 3, 5, 6))
    assert found.packed == 1


@pytest.mark.parametrize("does", [lambda x: x.mean((2, 3)), lambda x: x.mean((-1, -2), True)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mean_over_a_map_is_a_pool_in_bf16(
    does: Callable[[Tensor], Tensor], dtype: torch.dtype
):
    images = draw(2, 3, 7, 5).to(dtype).contiguous(memory_format=torch.channels_last)
    found = fast_form(Apply(does), images)
    assert ("aten::avg_pool2d" in names(found)) == (dtype == torch.bfloat16)
    wanted = does(images.double())
    torch.testing.assert_close(found.module(images).double(), wanted, rtol=4e-3, atol=4e-3)


@pytest.mark.parametrize(
    "does", [lambda x: x.mean(1), lambda x: x.mean((1, 2)), lambda x: x.mean()]
)
def test_other_means_stay(does: Callable[[Tensor], Tensor]):
    found = fast_form(Apply(does), draw(2, 3, 7, 5).bfloat16())
    assert names(found) == ["aten::mean"]
