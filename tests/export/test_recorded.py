"""A recorded network is the list of its operators."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vertebra.export.recorded import constant, fold_constants, name_of, record


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


class Run(nn.Module):
    """Does what it is told with images, and has a convolution and a table."""

    def __init__(self, does: Callable[["Run", Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.drop = nn.Dropout()
        self.table = nn.Parameter(draw(4, 3))
        self.register_buffer("places", torch.tensor([2, 0, 1]))
        self.does = does
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.does(self, x)


def names(module: torch.fx.GraphModule) -> list[str]:
    return [name_of(node) for node in module.graph.nodes if node.op == "call_function"]


def test_any_number_of_images_from_two_on_gives_the_same():
    net = Run(lambda self, x: self.conv(x).flatten(1) * x.shape[0])
    module = record(net, draw(1, 3, 4, 4), is_one=False)
    for count in (2, 3, 7):
        images = draw(count, 3, 4, 4)
        torch.testing.assert_close(module(images), net(images))


def test_one_image_is_recorded_by_itself():
    net = Run(lambda self, x: self.conv(x) if len(x) == 1 else self.conv(x) * 2)
    assert torch.equal(
        record(net, draw(1, 3, 4, 4), is_one=True)(draw(1, 3, 4, 4)), net(draw(1, 3, 4, 4))
    )


def test_what_does_nothing_in_evaluation_is_gone():
    module = record(Run(lambda self, x: self.drop(self.conv(x))), draw(1, 3, 4, 4), is_one=False)
    assert names(module) == ["aten::conv2d"]


def test_what_depends_on_constants_alone_is_computed_once():
    net = Run(lambda self, x: self.conv(x) + self.table[self.places].exp().view(3, 3, 1, 1).sum(0))
    module = record(net, draw(1, 3, 4, 4), is_one=False)
    before = module(draw(2, 3, 4, 4))
    fold_constants(module)
    assert names(module) == ["aten::conv2d", "aten::add"]
    module.recompile()
    torch.testing.assert_close(module(draw(2, 3, 4, 4)), before, rtol=0, atol=0)
    assert sum(constant(module, node) is not None for node in module.graph.nodes) == 3


def test_a_constant_that_is_written_over_is_computed_each_time():
    def does(self: Run, x: Tensor) -> Tensor:
        table = self.table.exp()
        table.add_(x.sum())
        return x.flatten(1)[:, :3] @ table.T

    net = Run(does)
    module = record(net, draw(1, 3, 4, 4), is_one=False)
    fold_constants(module)
    module.recompile()
    for count in (2, 3):
        images = draw(count, 3, 4, 4)
        torch.testing.assert_close(module(images), net(images))


def test_a_network_that_fixes_the_number_of_images_cannot_be_recorded_for_any():
    net = Run(lambda self, x: x * (1 if len(x) == 2 else 2))
    with pytest.raises(ValueError, match="decides by the number of images: with two"):
        record(net, draw(1, 3, 4, 4), is_one=False)


@pytest.mark.parametrize("count", [2, 5])
def test_a_network_that_decides_by_values_cannot_be_recorded(count: int):
    net = Run(lambda self, x: x if x.sum() > count else -x)
    with pytest.raises(ValueError, match="decides by the values of a tensor"):
        record(net, draw(1, 3, 4, 4), is_one=False)
