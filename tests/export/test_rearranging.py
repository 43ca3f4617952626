"""Operators change places where that gives the same, and there is less to move."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from vertebra.export.overwriting import take_back
from vertebra.export.rearranging import rearrange
from vertebra.export.recorded import constant, name_of, record, shape_of

SIZE = 64  # in pixels: 40 joined maps of two images are worth parting, of one they are not


class Apply(nn.Module):
    """Convolutions of given shapes, and what is done with them and the images."""

    def __init__(self, does: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.does = does
        self.double().eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.does(*self.parts, x)


def rearranged(net: Apply, *, channels: int = 16, count: int = 2) -> fx.GraphModule:
    """Returns the network with less to move, which gives the same."""
    images = torch.randn(count, channels, SIZE, SIZE, dtype=torch.float64)
    wanted = net(images)
    module = record(net, images[:1], is_one=count == 1)
    take_back(module)
    rearrange(module, count=count)
    module.recompile()
    torch.testing.assert_close(module(images), wanted, rtol=1e-10, atol=1e-10)
    return module


def names(module: fx.GraphModule) -> list[str]:
    return [name_of(node).removeprefix("aten::") for node in module.graph.nodes if name_of(node)]


def conv(
    inputs: int, outputs: int, size: int = 1, *, groups: int = 1, bias: bool = True
) -> nn.Module:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=bias)


def joined(first: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([x, first(x)], 1)


def gated(first: nn.Module, last: nn.Module, x: Tensor) -> Tensor:
    y = joined(first, x)
    return last(F.relu(y * torch.sigmoid(y.mean((2, 3), keepdim=True))))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("last", [conv(40, 8), conv(40, 40, 3), conv(40, 8, bias=False)], ids=str)
def test_a_convolution_of_joined_maps_is_a_sum(last: nn.Module, bias: bool):
    net = Apply(lambda f, g, x: g(joined(f, x)), conv(16, 24, bias=bias), last)
    module = rearranged(net)
    assert "cat" not in names(module) and names(module).count("conv2d") == 3


def test_what_comes_before_it_is_done_to_each():
    net = Apply(
        lambda f, g, h, x: h(F.silu(g(joined(f, x)))),
        conv(16, 24),
        conv(40, 40, 3, groups=40),
        conv(40, 8),
    )
    module = rearranged(net)
    assert "cat" not in names(module) and names(module).count("silu") == 2


def test_a_gate_is_shared_out():
    module = rearranged(Apply(gated, conv(16, 24), conv(40, 8)))
    assert names(module).count("cat") == 1  # of the means
    assert names(module).count("mul") == 2


@pytest.mark.parametrize(
    "does",
    [
        lambda f, g, x: g(y := joined(f, x)).mean() + y.transpose(2, 3),  # read by something else
        lambda f, g, x: joined(f, x),  # the answer
        lambda f, g, x: g(torch.cat([x, f(x), f(x)], 1)[:, :40]),  # three, and a part of them
        lambda f, g, x: torch.cat([x, f(x)[:, :16]], 2).mean(),  # along a side
        lambda f, g, x: torch.cat([x, x], 1).amax(),  # the same twice
    ],
)
def test_maps_stay_joined(does: Callable[..., Tensor]):
    assert names(rearranged(Apply(does, conv(16, 24), conv(40, 8)))).count("cat") == 1


def test_maps_stay_joined_where_a_convolution_makes_more_of_them():
    net = Apply(lambda f, g, x: g(joined(f, x)), conv(16, 24), conv(40, 48))
    assert names(rearranged(net)).count("cat") == 1


def test_small_maps_stay_joined():
    net = Apply(lambda f, g, x: g(joined(f, x)), conv(16, 24), conv(40, 8))
    assert "cat" not in names(rearranged(net, count=2))
    assert "cat" in names(rearranged(net, count=1))


@pytest.mark.parametrize("keepdim", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_the_mean_of_a_convolution_is_of_what_it_reads(keepdim: bool, bias: bool):
    net = Apply(lambda f, x: f(x).mean((3, 2), keepdim=keepdim), conv(16, 64, bias=bias))
    module = rearranged(net)
    (mean,) = (node for node in module.graph.nodes if name_of(node) == "aten::mean")
    assert shape_of(mean)[1:] == (16, 1, 1)


@pytest.mark.parametrize(
    "part",
    [
        conv(16, 8),  # what it gives is less
        conv(16, 64, 3),  # it reads beyond the border
        conv(16, 64, groups=2),
        nn.Conv2d(16, 64, 1, stride=2),
        nn.Conv2d(16, 64, 1, padding=1),
    ],
)
def test_means_that_stay(part: nn.Module):
    module = rearranged(Apply(lambda f, x: f(x).mean((2, 3), keepdim=True), part))
    (mean,) = (node for node in module.graph.nodes if name_of(node) == "aten::mean")
    assert name_of(mean.args[0]) == "aten::conv2d"


@pytest.mark.parametrize("biases", [(True, True), (True, False), (False, True), (False, False)])
def test_squeeze_and_excitation_reads_the_narrow_map(biases: tuple[bool, bool]):
    def does(wide: nn.Module, squeeze: nn.Module, excite: nn.Module, x: Tensor) -> Tensor:
        y = wide(x)
        return y * excite(squeeze(y.mean((2, 3), keepdim=True)).relu()).sigmoid()

    wide, squeeze = (
        conv(*size, bias=each) for size, each in zip([(16, 64), (64, 4)], biases, strict=True)
    )
    module = rearranged(Apply(does, wide, squeeze, conv(4, 64)))
    weights = [
        tuple(weight.shape[:2])
        for node in module.graph.nodes
        if name_of(node) == "aten::conv2d"
        and (weight := constant(module, node.args[1])) is not None
    ]
    assert sorted(weights) == [(4, 16), (64, 4), (64, 16)]


@pytest.mark.parametrize(
    "does",
    [
        lambda f, g, x: g(f(x).relu()),  # something lies between them
        lambda f, g, x: g(y := f(x)) + y.mean(),  # the first is read by others
    ],
)
def test_convolutions_that_stay_two(does: Callable[..., Tensor]):
    net = Apply(does, conv(16, 64), conv(64, 8))
    assert names(rearranged(net)).count("conv2d") == 2


def test_two_convolutions_whose_product_has_more_weights_stay():
    net = Apply(lambda f, g, x: g(f(x)), conv(16, 2), conv(2, 32))
    assert names(rearranged(net)).count("conv2d") == 2


@pytest.mark.parametrize(
    "does",
    [
        lambda f, x: f(x) * x.mean((2, 3), keepdim=True) + x,
        lambda f, x: x + torch.sigmoid(x) * f(x),
        lambda f, x: x.mul(f(x)).add_(x),
    ],
)
def test_a_product_is_added_in_one_walk(does: Callable[..., Tensor]):
    used = names(rearranged(Apply(does, conv(16, 16))))
    assert used.count("addcmul") == 1 and not {"add", "mul"} & {*used}


@pytest.mark.parametrize(
    "does",
    [
        lambda f, x: f(x) * 2 + x,
        lambda f, x: f(x) * x + 2,
        lambda f, x: torch.add(x, f(x) * x, alpha=2),
        lambda f, x: (y := f(x) * x) + x + y,  # it is read twice
        lambda f, x: (y := f(x) * x) + y,
        lambda f, x: f(x).mean(1, keepdim=True) * x[:, :1] + x,  # narrower than the sum
        lambda f, x: f(x) * x + x[:, :1],
        lambda f, x: (f(x).float() * x.float()) + x,  # of another type
    ],
)
def test_products_and_sums_that_stay_two(does: Callable[..., Tensor]):
    assert "addcmul" not in names(rearranged(Apply(does, conv(16, 16))))


def test_a_product_stays_where_a_factor_is_written_over_before_the_sum():
    def does(f: nn.Module, x: Tensor) -> Tensor:
        y = f(x)
        product, part = y * x, y[:, :1]
        part.mul_(3)
        return product + x + y

    assert "addcmul" not in names(rearranged(Apply(does, conv(16, 16))))
