"""What every model on the shelf must keep, shown on narrow and shallow ones unless slow."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models.drawn import randomise

from vertebra.contracts import Backbone, Encoding
from vertebra.layers.layout import lay_out_by_pixel
from vertebra.models.shelf import SHELF, BackboneSpec, create_backbone, find_spec
from vertebra.models.shell import ResidualNet

SIZES_OF_PARTS = {
    "blocks",
    "channels",
    "heads",
    "kernel",
    "key_width",
    "group_width",
    "stem_channels",
}
"""Fields of a spec that say how much there is of something, and not what."""


def kinds_first() -> list[object]:
    """Returns every name; those that differ from an earlier one in numbers alone are slow."""
    seen: set[str] = set()
    names: list[object] = []
    for name in SHELF:
        spec = find_spec(name)
        fields = {key: value for key, value in vars(spec).items() if key not in SIZES_OF_PARTS}
        kind = f"{type(spec).__name__} {fields}"
        names.append(pytest.param(name, marks=pytest.mark.slow) if kind in seen else name)
        seen.add(kind)
    return names


every_model = pytest.mark.parametrize("name", kinds_first())
SIZES = [(1, 1), (33, 33), (64, 50), (161, 97)]


@cache
def shrunk(name: str) -> BackboneSpec:
    """Returns the spec with few channels and blocks; its parts stay what they are."""
    return replace(find_spec(name), width=0.125, depth=0.1)


def drawn(name: str, in_channels: int = 3) -> Backbone:
    torch.manual_seed(0)
    return randomise(shrunk(name).build(in_channels))


def assert_keeps_its_promise(net: Backbone, encoding: Encoding, images: torch.Tensor) -> None:
    samples, _, height, width = images.shape
    assert encoding.vector.shape == (samples, net.width)
    assert [spec.name for spec in net.maps] == [f"stage{i + 1}" for i in range(len(net.maps))]
    assert [spec.stride for spec in net.maps] == sorted(spec.stride for spec in net.maps)
    for spec, found in zip(net.maps, encoding.maps, strict=True):
        size = (-(-height // spec.stride), -(-width // spec.stride))
        assert found.shape == (samples, spec.channels, *size)
    if type(net) is ResidualNet:
        torch.testing.assert_close(encoding.vector, encoding.maps[-1].mean((2, 3)))


@every_model
def test_maps_have_the_promised_shapes_at_any_size(name):
    net = drawn(name).eval()
    for size in SIZES:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            assert_keeps_its_promise(net, net(images), images)


@given(channels=st.integers(1, 16), height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_number_of_channels_and_any_size_pass(channels, height, width):
    net = drawn("resnetrs50", channels).eval()
    images = torch.randn(1, channels, height, width)
    with torch.no_grad():
        assert_keeps_its_promise(net, net(images), images)
    assert net.in_channels == channels


@every_model
def test_evaluation_repeats_itself_and_minds_no_neighbours(name):
    net = drawn(name).eval()
    images = torch.randn(3, 3, 40, 40)
    with torch.no_grad():
        vector = net(images).vector
        assert torch.equal(vector, net(images).vector)
        torch.testing.assert_close(vector[:1], net(images[:1]).vector)
        lay_out_by_pixel(net)
        torch.testing.assert_close(vector, net(images).vector)


@every_model
def test_a_saved_state_gives_the_same_network(name):
    net, other = drawn(name).eval(), shrunk(name).build().eval()
    images = torch.randn(1, 3, 40, 40)
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert torch.equal(net(images).vector, other(images).vector)


@every_model
def test_gradients_reach_every_parameter(name):
    net = drawn(name)
    encoding = net(torch.randn(4, 3, 64, 72))  # more than one cell even at stride 64
    (encoding.vector * torch.randn_like(encoding.vector)).sum().backward()
    unreached = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


@every_model
def test_levels_share_no_parameter_and_leave_none_out(name):
    net = shrunk(name).build()
    parts = [id(parameter) for level in net.levels() for parameter in level.parameters()]
    assert sorted(parts) == sorted(map(id, net.parameters()))
    assert len(net.levels()) >= 3


@every_model
def test_the_form_for_inference_gives_the_same(name):
    net = drawn(name)
    images = torch.randn(2, 3, 64, 50)
    with torch.no_grad():
        found, wanted = net.fused()(images), net.eval()(images)
    for mine, other in zip((*found.maps, found.vector), (*wanted.maps, wanted.vector), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@every_model
def test_the_whole_network_keeps_its_promise(name):
    net = randomise(create_backbone(name)).eval()
    images = torch.randn(1, 3, 65, 33)
    with torch.no_grad():
        assert_keeps_its_promise(net, net(images), images)


SMALLEST = [
    "resnet18",
    "resnext50_32x4d",
    "sknet26",
    "resnest14",
    "resnetrs50",
    "resnet50_gn_ws",
    "resnetv2_50x1_bit",
    "slow_resnet50",
    "ghostnet_050",
    "ghost_resnet50_s2",
    "g_ghost_regnet_0_2",
    "g_ghost_resnet50",
    "levit_128s",
    "convnext_tiny",
    "convnext_iso_small",
    "convnext_ladder_t13_one_norm",
    "convnext_ladder_t15_downsampling",
]
"""The smallest model of each kind of network."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_compiling_changes_nothing_and_breaks_no_graph(name):
    torch.compiler.reset()  # networks share code, which is compiled anew a few times only
    net = drawn(name).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        compiled = torch.compile(net, fullgraph=True)(images)
        torch.testing.assert_close(compiled.vector, net(images).vector, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_the_exported_program_gives_the_same(name):
    net = drawn(name).eval()
    images = torch.randn(2, 3, 64, 64)
    program = torch.export.export(net, (images,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images).vector, net(images).vector)
