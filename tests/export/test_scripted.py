"""A recorded network gives as TorchScript what it gives when Python calls its operators."""

import gc
import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.nn import functional as F

from vertebra.export import scripted
from vertebra.export.operators import fused_operators
from vertebra.export.recorded import record, set_constant
from vertebra.export.scripted import Script
from vertebra.layers.tiling import Tiling
from vertebra.layers.winograd import convolve, transform


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Does with images [N, 4, 6, 6] what it is told, and has a convolution and a table."""

    def __init__(self, does: Callable[["Net", Tensor], Any]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.table = nn.Parameter(draw(4, 1, 1))
        self.does = does
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Any:
        return self.does(self, x)


CASES: dict[str, Callable[[Net, Tensor], Any]] = {
    "numbers": lambda self, x: (self.conv(x) * 2 + 0.5 - self.table).pow(2),
    "by name": lambda self, x: torch.add(x, self.conv(x), alpha=2).std(1, keepdim=True),
    "lists of tensors": lambda self, x: torch.cat([*self.conv(x).chunk(2, 1), x], 1),
    "several answers of one": lambda self, x: x.max(1).values + x.topk(2, 1).values[:, 1],
    "sizes": lambda self, x: x.reshape(len(x) * 2, -1).sum(1).view(x.shape[0], 2) * len(x),
    "nothing": lambda self, x: x[:, None, ..., 1:].clamp(min=None, max=0.3),
    "places": lambda self, x: x[:, torch.tensor([2, 0])] + x[:, :2],
    "without end": lambda self, x: x.masked_fill(x > 0, float("-inf")).softmax(3).nan_to_num(1),
    "types": lambda self, x: (x > 0).to(torch.float64) + torch.arange(6, device="cpu"),
    "text": lambda self, x: F.gelu(self.conv(x), approximate="tanh"),
    "whole numbers as real ones": lambda self, x: F.hardtanh(x, -1, 1) + F.leaky_relu(x, 1),
    "written over": lambda self, x: torch.relu_(self.conv(x)).add_(x),
    "pads": lambda self, x: F.pad(x, (1, 0, 2, 0), mode="reflect").mean((2, 3)),
    "attention": lambda self, x: F.scaled_dot_product_attention(x, x * 2, x, scale=0.3),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("counts", [(1,), (2, 5)], ids=["one", "several"])
def test_answers_are_the_same_to_the_bit(case: str, counts: tuple[int, ...]):
    net = Net(CASES[case])
    script = Script(record(net, draw(1, 4, 6, 6), is_one=counts == (1,)))
    for count in counts:
        images = draw(count, 4, 6, 6).contiguous(memory_format=torch.channels_last)
        found = script(images)
        assert torch.equal(found, net(images)) and found.dtype == net(images).dtype
        assert torch.equal(images, draw(count, 4, 6, 6))


@pytest.mark.parametrize(
    "does",
    [
        lambda self, x: {"maps": [self.conv(x), x * 2], "none": None, "three": (3, x.mean())},
        lambda self, x: x.max(1),
        lambda self, x: [self.conv(x)],
        lambda self, x: (x, x),
    ],
)
def test_answers_keep_their_structure(does: Callable[[Net, Tensor], Any]):
    net, images = Net(does), draw(2, 4, 6, 6)
    found, wanted = Script(record(net, images[:1], is_one=False))(images), net(images)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert type(found) is type(wanted)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_our_convolution_is_called_as_operators_are(groups: int, relu: bool):
    images, weight, bias = draw(3, 4, 7, 9), draw(6, 4 // groups, 3, 3), draw(6)
    shortcut, tiling = draw(3, 6, 7, 9), Tiling.of((7, 9), (1, 1))
    weights = transform(weight, tiling, images=2, groups=groups)
    module = record(nn.Identity(), images[:1], is_one=False)
    (first, output) = module.graph.nodes

    def put(value: Any) -> Any:
        return set_constant(module, value, output) if isinstance(value, Tensor) else value

    args = map_aggregate((weights, bias, shortcut), put)
    with module.graph.inserting_before(output):
        output.args = (module.graph.call_function(convolve, (first, *args, relu)),)
    wanted = convolve(images, weights, bias, shortcut, relu)
    assert torch.equal(Script(module)(images), wanted)


def test_weights_are_no_parameters_and_what_nobody_reads_is_gone():
    def does(self: Net, x: Tensor) -> Tensor:
        self.conv(x)
        return x * self.table

    net = Net(does)
    unread = weakref.ref(net.conv.weight)
    script = Script(record(net, draw(1, 4, 6, 6), is_one=False))
    del net
    gc.collect()
    assert unread() is None
    assert not [*script.parameters()] and not [*script.buffers()]
    assert [node.op for node in script.graph.nodes] == [
        "placeholder",
        "get_attr",
        "call_function",
        "output",
    ]


@pytest.mark.parametrize(
    ("does", "has_source"),
    [
        (lambda self, x: (self.conv(x), len(x) * 3), True),
        (lambda self, x: self.conv(x), False),
    ],
)
def test_what_cannot_be_torchscript_is_called_by_python(
    does: Callable[[Net, Tensor], Any], has_source: bool, monkeypatch: pytest.MonkeyPatch
):
    net, images = Net(does), draw(2, 4, 6, 6)
    wanted = net(images)
    if not has_source:
        monkeypatch.setattr(scripted.inspect, "getsource", Mock(side_effect=OSError))
    found = fused_operators(net, images[:1], count=2)
    assert found is not None and isinstance(found.module, fx.GraphModule) and found.packed == 1
    torch.testing.assert_close(found.module(images), wanted, rtol=1e-5, atol=1e-5)
