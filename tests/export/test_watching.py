"""What is written down is what torch's export writes, and gives the same to the bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vertebra.export.recorded import name_of, record, shape_of
from vertebra.export.watching import PerImage, TensorSpec, watch
from vertebra.tasks.classify import create_model

NAMES = ("resnest14", "levit_128s")
MORE = ("resnetrs26", "ghostnet_050", "seresnet50", "convnext_tiny", "resnetv2_50x1_bit", "sknet50")
THEIRS = ("timm/efficientnet_b0", "timm/mixer_s32_224", "timm/swin_tiny_patch4_window7_224")

APART = {
    "",
    "aten::_assert_tensor_metadata",
    "aten::alias",
    "aten::promote_types",
    "aten::slice",
    "aten::sym_size",
    "aten::to",
}
"""What export writes in other places, or also where it gives all of what it is given."""


class Run(nn.Module):
    """Does what it is told with images, and has weights."""

    def __init__(self, does: Callable[["Run", Tensor], Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(draw(3, 4), requires_grad=False)
        self.does = does

    def forward(self, x: Tensor) -> Any:
        return self.does(self, x)


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def operators(module: torch.fx.GraphModule) -> list[str]:
    return [name for node in module.graph.nodes if (name := name_of(node)) not in APART]


@pytest.mark.parametrize(
    "name", [*NAMES, *(pytest.param(each, marks=pytest.mark.slow) for each in MORE + THEIRS)]
)
def test_the_operators_are_those_of_torchs_export(name: str):
    side = 64 if name == "resnest14" else 224
    net = create_model(name, num_classes=5).eval().requires_grad_(False)
    image = draw(1, 3, side, side)
    images = image.expand(2, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    counts = ({0: torch.export.Dim.AUTO},)
    with torch.no_grad():
        other = torch.export.export(net, (images,), dynamic_shapes=counts, strict=False).module()
    ours = watch(net, image, is_one=False)
    assert operators(ours) == operators(other)
    for count in (2, 5):
        images = draw(count, 3, side, side).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            assert torch.equal(ours(images), net(images))


@pytest.mark.parametrize(
    "does",
    [
        lambda self, x: x.reshape(len(x) * 2, 6, -1).chunk(3, 1)[1].reshape(len(x), -1),
        lambda self, x: {"a": x.max(1), "b": [x + len(x), (x.flatten(1) @ torch.ones(48, 2),)]},
        lambda self, x: x.new_zeros(3, 2).add_(x.mean()).repeat(2 * len(x), 1),
        lambda self, x: x[:, [2, 0]] + torch.arange(4.0).mul_(2),
        lambda self, x: x.clamp_(0).add(1),
        lambda self, x: nn.functional.linear(x.transpose(1, 3), self.weight.T),
    ],
)
def test_any_number_of_images_from_two_on_gives_the_same(does: Callable[[Run, Tensor], Any]):
    net = Run(does)
    module = watch(net, draw(1, 3, 4, 4), is_one=False)
    for count in (2, 7):
        for _ in range(2):  # what is written over in a call is new in the next
            found, wanted = module(draw(count, 3, 4, 4)), net(draw(count, 3, 4, 4))
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_what_a_network_makes_at_first_and_keeps_is_a_constant():
    def does(self: Run, x: Tensor) -> Tensor:
        if not hasattr(self, "table"):
            self.table = torch.arange(4.0).exp()
        return x * self.table

    module = watch(Run(does), draw(1, 3, 4, 4), is_one=False)
    assert operators(module) == ["aten::mul"]


@pytest.mark.parametrize(
    ("does", "message"),
    [
        (lambda self, x: x / (1 / len(x)), "decides by the number of images"),
        (lambda self, x: x * torch.tensor(len(x)), "decides by the number of images"),
        (lambda self, x: x.flatten()[: len(x) + 1], "decides by the number of images"),
        (lambda self, x: x.relu() if len(x) == 2 else x, "arity mismatch"),
        (lambda self, x: x.relu() if len(x) == 2 else x.abs(), "decides by the number of images"),
        (lambda self, x: x if float(x.sum()) > 0 else -x, "decides by the values of a tensor"),
        (lambda self, x: x[x > 0].sum(), "as many numbers as its values say"),
        (lambda self, x: x.nonzero().float(), "as many numbers as its values say"),
        (lambda self, x: self.weight.add_(1).sum() + x, "writes over its weights"),
    ],
)
def test_what_decides_by_values_or_counts_is_refused(
    does: Callable[[Run, Tensor], Any], message: str
):
    with pytest.raises(ValueError, match=message):
        watch(Run(does), draw(1, 3, 4, 4), is_one=False)


def test_shapes_say_what_depends_on_the_number_of_images():
    module = record(Run(lambda self, x: x.reshape(len(x) * 3, 16)), draw(1, 3, 4, 4), is_one=False)
    (viewed,) = (node for node in module.graph.nodes if name_of(node) == "aten::reshape")
    assert shape_of(viewed) == (PerImage(3), 16)
    assert TensorSpec((PerImage(3), 16), torch.float32).shape_with(5) == [15, 16]


def test_one_image_has_numbers_alone():
    module = watch(Run(lambda self, x: x.reshape(len(x) * 3, 16)), draw(1, 3, 4, 4), is_one=True)
    *nodes, _ = module.graph.nodes
    assert [shape_of(node) for node in nodes] == [(1, 3, 4, 4), (3, 16)]
