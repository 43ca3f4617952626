"""Results lie where an argument has lain only if nobody looks there for it any more."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.export.operators import fused_operators
from vertebra.export.overwriting import overwrite, take_back
from vertebra.export.recorded import name_of, overwrites, record
from vertebra.export.scripted import Script


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Three convolutions that keep the shape, and what is done with them."""

    def __init__(self, does: Callable[..., Any]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.does = does
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Any:
        return self.does(*self.parts, x)


def double(f: nn.Module, x: Tensor) -> Tensor:
    y = f(x)
    return y + F.relu(y)


CASES: dict[str, tuple[Callable[..., Any], int]] = {
    # what is done, and how many results lie where an argument has lain
    "a chain": (lambda f, g, h, x: F.silu(f(x) * 2), 2),
    "the shortcut is read later": (lambda f, g, h, x: (y := f(x)) + F.silu(y * 2) + y, 3),
    "twice the same": (lambda f, g, h, x: (y := f(x)) * y, 0),
    "the input": (lambda f, g, h, x: F.silu(x), 0),
    "an answer": (lambda f, g, h, x: ((y := f(x) * 2), F.silu(y)), 1),
    "a part of an answer": (lambda f, g, h, x: ((y := f(x))[:, :1], F.silu(y)), 0),
    "a part that is read later": (
        lambda f, g, h, x: F.silu(y := f(x)).sum() + y.transpose(2, 3).exp(),
        0,
    ),
    "a part of itself": (lambda f, g, h, x: (y := f(x)) + y.transpose(2, 3), 0),
    "another shape": (lambda f, g, h, x: f(x).mean((2, 3), keepdim=True) * x, 0),
    "either side": (lambda f, g, h, x: x * f(x), 1),
    "the second of a difference": (lambda f, g, h, x: x - f(x), 1),
    "the second, and so many times": (lambda f, g, h, x: torch.add(x, f(x), alpha=3), 1),
    "the whole, laid out anew": (lambda f, g, h, x: F.silu(f(x).transpose(2, 3)).flatten(2) * 2, 2),
    "the whole, and it is read later": (lambda f, g, h, x: (y := f(x)).flatten(2) * 2 + y.sum(), 1),
    "the whole of the input": (lambda f, g, h, x: F.silu(x.flatten(2)), 0),
    "a sum with a product": (lambda f, g, h, x: torch.addcmul(f(x), x, g(x)), 1),
    "a product in a sum": (lambda f, g, h, x: torch.addcmul(x, f(x), g(x), value=2), 1),
    "a sum with its own product": (lambda f, g, h, x: torch.addcmul(y := f(x), y, x), 0),
    "a constant": (lambda f, g, h, x: F.silu(f.bias).view(1, 3, 1, 1) + g(x), 1),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_stay_and_memory_is_used_again(case: str):
    does, wanted = CASES[case]
    net = Net(does)
    module = record(net, draw(1, 3, 6, 6), is_one=False)
    take_back(module)
    assert not any(map(overwrites, module.graph.nodes))
    overwrite(module)
    assert sum(map(overwrites, module.graph.nodes)) == wanted
    images = draw(2, 3, 6, 6)
    torch.testing.assert_close(Script(module)(images), net(images))
    assert torch.equal(images, draw(2, 3, 6, 6))


def through_a_view(f: nn.Module, g: nn.Module, h: nn.Module, x: Tensor) -> Tensor:
    y = f(x)
    part = y[:, :1]
    part.mul_(3).add_(1)
    return F.relu(y)


def within_the_whole(f: nn.Module, g: nn.Module, h: nn.Module, x: Tensor) -> Tensor:
    y = f(x)
    y.flatten(2).mul_(3)
    return g(y)


def behind_a_view(f: nn.Module, g: nn.Module, h: nn.Module, x: Tensor) -> Tensor:
    y = f(x)
    part = y[:, :1]
    y.mul_(3)
    return g(y) + part


@pytest.mark.parametrize("does", [through_a_view, within_the_whole, behind_a_view])
def test_what_a_network_writes_for_others_to_see_stays(does: Callable[..., Tensor]):
    net = Net(does)
    found = fused_operators(deepcopy(net), draw(1, 3, 6, 6), count=2)
    assert found is not None and "aten::mul_" in map(name_of, found.module.graph.nodes)
    images = draw(2, 3, 6, 6)
    torch.testing.assert_close(found.module(images), net(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("does", "is_over"),
    [
        (lambda f, g, h, x: F.relu(g(f(x)) + h(x)), True),
        (lambda f, g, h, x: g(y := f(x)) + y, False),  # it would read what it writes
        (lambda f, g, h, x: g((y := f(x)).transpose(2, 3)) + y, False),
        (lambda f, g, h, x: g(x) + x, False),
        (lambda f, g, h, x: ((y := f(x)), g(x) + y), False),
        (lambda f, g, h, x: h(F.silu(g(x) + (y := f(x)))) + y, True),  # the second sum
    ],
)
def test_a_convolution_adds_to_a_shortcut_that_nobody_reads_later(
    does: Callable[..., Any], is_over: bool
):
    net = Net(does)
    found = fused_operators(deepcopy(net), draw(1, 3, 6, 6), count=2)
    assert found is not None
    used = [*map(name_of, found.module.graph.nodes)]
    assert ("mkldnn::_convolution_pointwise_" in used) == is_over
    sums = torch.ops.mkldnn._convolution_pointwise.binary
    assert is_over or sums in [node.target for node in found.module.graph.nodes]
    images = draw(2, 3, 6, 6)
    torch.testing.assert_close(found.module(images), net(images), rtol=1e-5, atol=1e-5)
