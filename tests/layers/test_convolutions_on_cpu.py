"""Convolutions that go another way give the same, up to rounding."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.engine.execution import Execution, Precision
from vertebra.engine.gradient_checkpointing import checkpoint_blocks
from vertebra.layers import convolutions_on_cpu, winograd_training
from vertebra.layers.convolutions_on_cpu import ConvolutionsOnCpu, overwrites_memory
from vertebra.layers.standardised_conv import StandardisedConv2d
from vertebra.tasks.classify import create_model

CPU = torch.device("cpu")


def draw(*shape: int) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    return drawn.contiguous(memory_format=torch.channels_last)


CONVOLUTIONS = [
    nn.Conv2d(8, 8, 5, groups=8, padding=2),
    nn.Conv2d(8, 16, 3, groups=8, stride=2, padding=1, bias=False),
    nn.Conv2d(8, 6, 1),
    nn.Conv2d(8, 6, 1, bias=False),
    nn.Conv2d(8, 6, 1, stride=2),
    nn.Conv2d(8, 6, 1, padding=1),
    nn.Conv2d(8, 6, 1, groups=2),
    nn.Conv2d(8, 6, 3, padding="same"),
    nn.Conv2d(1, 6, 3),
    nn.Conv2d(256, 6, 3, padding=1),
    nn.Conv2d(256, 6, (3, 1), stride=(2, 1), bias=False),
    nn.Conv2d(256, 6, 3, padding=2, dilation=2),
    nn.Conv2d(256, 8, 3, groups=2),
]


def pass_through(conv: nn.Conv2d, images: Tensor) -> tuple[Tensor, ...]:
    """Returns answer and gradients of images and weights."""
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    found = conv(images)
    gradients = torch.autograd.grad(found.float().sin().sum(), [images, conv.weight])
    return found, *gradients


def is_product(found: Tensor) -> bool:
    """Says whether the convolution went as a matrix product."""
    assert found.grad_fn is not None
    return "Permute" in found.grad_fn.name()


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_answers_and_gradients_are_near_those_in_fp32(conv: nn.Conv2d, layout: torch.memory_format):
    images = draw(3, conv.in_channels, 9, 7).contiguous(memory_format=layout)
    wanted = pass_through(conv, images.contiguous())
    with torch.autocast("cpu", torch.bfloat16):
        usual = pass_through(conv, images)
        with ConvolutionsOnCpu(conv, torch.bfloat16).taken():
            found = pass_through(conv, images)
    for exact, theirs, ours in zip(wanted, usual, found, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        error = (ours.float() - exact).abs().max() / exact.abs().max()
        assert error <= max(0.02, 2 * (theirs.float() - exact).abs().max() / exact.abs().max())


def test_gradients_of_depthwise_convolutions_are_computed_in_fp32():
    conv, images = CONVOLUTIONS[0], draw(3, 8, 9, 17).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), ConvolutionsOnCpu(conv, torch.bfloat16).taken():
        found = conv(images)
    (gradient,) = torch.autograd.grad(found.float().sum(), [conv.weight])
    exact = F.conv2d(images.float(), conv.weight, conv.bias, padding=2, groups=8)
    (wanted,) = torch.autograd.grad(exact.sum(), [conv.weight])
    torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("conv", "size", "dtype", "expected"),
    [
        (nn.Conv2d(8, 8, 3, groups=8, padding=1), (9, 7), torch.bfloat16, "usual"),
        (nn.Conv2d(8, 8, 3, groups=8, stride=2), (9, 7), torch.bfloat16, "back in fp32"),
        (nn.Conv2d(8, 8, (3, 5), groups=8), (8, 8), torch.bfloat16, "products"),
        (nn.Conv2d(8, 8, (3, 5), groups=8), (17, 16), torch.bfloat16, "products"),
        (nn.Conv2d(8, 8, (3, 5), groups=8), (9, 17), torch.bfloat16, "back in fp32"),
        (nn.Conv2d(8, 8, 5, groups=8, stride=2), (8, 8), torch.bfloat16, "products"),
        (nn.Conv2d(8, 8, 5, groups=8, stride=2), (9, 8), torch.bfloat16, "back in fp32"),
        (nn.Conv2d(8, 16, 5, groups=8), (8, 8), torch.bfloat16, "back in fp32"),
        (nn.Conv2d(8, 8, 5, groups=8, dilation=2), (10, 9), torch.bfloat16, "in fp32"),
        (nn.Conv2d(8, 8, 5, groups=8), (8, 8), torch.float32, "usual"),
        (nn.Conv2d(8, 8, 7, groups=8), (18, 16), torch.float32, "products"),
        (nn.Conv2d(8, 8, 7, groups=8), (8, 17), torch.float32, "usual"),
        (nn.Conv2d(8, 8, 7, groups=8, stride=2), (8, 8), torch.float32, "usual"),
    ],
    ids=str,
)
def test_depthwise_convolutions_go_by_kernel_and_map(
    conv: nn.Conv2d, size: tuple[int, int], dtype: torch.dtype, expected: str
):
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    with autocast, ConvolutionsOnCpu(conv, dtype).taken():
        found = conv(draw(3, 8, *size).to(dtype))
    assert found.dtype == dtype
    node: Any = found.grad_fn
    if "_Convolve" in node.name():
        way = "back in fp32" if node.gradient_of_weights is None else "products"
    else:
        way = {"ToCopyBackward0": "in fp32", "ConvolutionBackward0": "usual"}[node.name()]
    assert way == expected


def test_gradients_in_fp32_keep_images_in_bf16():
    conv = nn.Conv2d(8, 8, 3, groups=8, stride=2)
    images = draw(3, 8, 9, 7).bfloat16().requires_grad_()
    kept: list[Tensor] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each), lambda _: _)
    with ConvolutionsOnCpu(conv, torch.bfloat16).taken(), hooks:
        conv(images)
    assert [each.dtype for each in kept] == [torch.bfloat16, torch.float32]
    assert kept[0].data_ptr() == images.data_ptr() and kept[1] is conv.weight


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_on_a_cpu_goes_that_way_unless_it_is_compiled(precision: Precision):
    conv, images = CONVOLUTIONS[2], draw(3, 8, 9, 7)
    for compiled in (False, True):
        execution = Execution(precision=precision, compile=compiled)
        with execution.stepping(conv, CPU)(), execution.autocast(CPU):
            assert is_product(conv(images)) != compiled


@pytest.mark.parametrize(
    ("conv", "side", "expected"),
    [
        (nn.Conv2d(256, 8, 3, padding=1), 4, True),
        (nn.Conv2d(256, 8, 3, stride=2, padding=1), 8, True),
        (nn.Conv2d(256, 8, 3, padding=1), 5, False),  # too many positions
        (nn.Conv2d(128, 8, 3, padding=1), 4, False),  # too few channels
        (nn.Conv2d(128, 8, 3, padding=1), 1, True),  # one position
        (nn.Conv2d(128, 8, 3, stride=2, padding=1), 2, True),
        (nn.Conv2d(256, 8, 3, padding="same"), 4, False),
        (nn.Conv2d(256, 8, 3, padding=1, padding_mode="circular"), 4, False),
        (nn.Conv2d(16, 8, 1), 36, True),
        (nn.Conv2d(16, 8, 1), 37, False),  # 3 * 37 * 37 rows are too many
        (nn.Conv2d(16, 8, 1, stride=2), 72, True),
        (nn.Conv2d(16, 8, 1, stride=2), 74, False),
        (nn.Conv2d(15, 8, 1, stride=2), 74, True),  # or memory is overwritten
        (nn.Conv2d(128, 8, 1, padding=1), 4, False),
    ],
)
def test_small_maps_are_products_in_fp32_too(conv: nn.Conv2d, side: int, expected: bool):
    images = draw(3, conv.in_channels, side, side)
    wanted = pass_through(conv, images.contiguous())
    with Execution().stepping(conv, CPU)():
        found = pass_through(conv, images)
    assert is_product(found[0]) == expected
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    if side > 1:  # channels of a pixel apart
        with Execution().stepping(conv, CPU)():
            assert is_product(conv(images.contiguous())) == overwrites_memory(conv)


@pytest.mark.parametrize(
    ("channels", "side", "name"),
    [
        (256, 5, "Permute"),
        (256, 6, "_Convolve"),
        (128, 8, "_Convolve"),
        (128, 9, "Convolution"),
        (127, 8, "Convolution"),
    ],
)
def test_small_maps_in_bf16(channels: int, side: int, name: str):
    conv, images = nn.Conv2d(channels, 8, 3, padding=1), draw(3, channels, side, side)
    wanted = pass_through(conv, images)
    ways = ConvolutionsOnCpu(conv, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16), ways.taken():
        found = pass_through(conv, images)
    assert found[0].grad_fn is not None and found[0].grad_fn.name().startswith(name)
    for ours, exact in zip(found, wanted, strict=True):
        assert (ours.float() - exact).abs().max() <= 0.02 * exact.abs().max()


def test_nothing_stays_in_the_network():
    conv, images = nn.Conv2d(256, 8, 3), draw(3, 256, 4, 4)
    before = [*vars(conv)]
    with pytest.raises(KeyError), ConvolutionsOnCpu(conv, torch.float32).taken():
        assert is_product(conv(images))
        raise KeyError
    assert [*vars(conv)] == before and not is_product(conv(images))


def test_convolutions_with_weights_of_their_own_go_that_way_too():
    conv, images = StandardisedConv2d(8, 6, 1), draw(3, 8, 9, 7)
    wanted = pass_through(conv, images)
    with Execution().stepping(conv, CPU)():
        found = pass_through(conv, images)
    assert is_product(found[0])
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_blocks_that_compute_again_go_the_same_way(precision: Precision):
    network = create_model("resnet18", num_classes=4)
    execution = Execution(precision=precision, gradient_checkpointing=True)
    execution.place(network, CPU)
    assert checkpoint_blocks(network) > 0
    images = draw(4, 3, 64, 64)
    with execution.stepping(network, CPU)():
        with execution.autocast(CPU):
            loss = network(images).float().square().sum()
        loss.backward()
    assert all(each.grad is not None for each in network.parameters())


def taken_by_tiles(conv: nn.Conv2d, images: Tensor, dtype: torch.dtype) -> int:
    """Returns how many of two passes went by tiles; each gives what the usual way does."""
    wanted = pass_through(conv, images)
    bound = 2e-5 if dtype == torch.float32 else 2e-2
    by_tiles = patch.object(winograd_training, "convolve", wraps=winograd_training.convolve)
    with by_tiles as way, ConvolutionsOnCpu(conv, dtype).taken():
        for _ in range(2):
            for one, other in zip(pass_through(conv, images), wanted, strict=True):
                assert (one - other).abs().max() < bound * other.abs().max()
    return way.call_count


@pytest.mark.parametrize(
    ("conv", "count", "size"),
    [
        (nn.Conv2d(128, 128, 3, padding=1), 8, (16, 14)),
        (nn.Conv2d(256, 256, 3, padding=1, groups=2, bias=False), 8, (16, 16)),
        (nn.Conv2d(256, 128, 3, padding=(1, 0)), 13, (10, 12)),
    ],
    ids=str,
)
def test_wide_windows_go_by_tiles(conv: nn.Conv2d, count: int, size: tuple[int, int]):
    assert taken_by_tiles(conv, draw(count, conv.in_channels, *size), torch.float32) == 2


@pytest.mark.parametrize(
    ("conv", "count", "side"),
    [
        (nn.Conv2d(64, 128, 3, padding=1), 8, 16),
        (nn.Conv2d(128, 64, 3, padding=1), 8, 16),
        (nn.Conv2d(256, 256, 3, padding=1, groups=4), 8, 16),
        (nn.Conv2d(128, 128, 3, padding=1), 4, 16),
        (nn.Conv2d(128, 128, 3, padding=1), 128, 2),
        (nn.Conv2d(128, 128, 3, padding=1, stride=2), 8, 32),
        (nn.Conv2d(128, 128, 3, padding=2, dilation=2), 8, 16),
    ],
    ids=str,
)
def test_others_do_not(conv: nn.Conv2d, count: int, side: int):
    assert taken_by_tiles(conv, draw(count, conv.in_channels, side, side), torch.float32) == 0


def test_none_goes_by_tiles_in_bf16_or_by_channel_or_where_sparse_products_are_slow(
    monkeypatch: pytest.MonkeyPatch,
):
    conv, images = nn.Conv2d(128, 128, 3, padding=1), draw(8, 128, 16, 16)
    assert taken_by_tiles(conv, images, torch.float32) == 2
    assert taken_by_tiles(conv, images, torch.bfloat16) == 0
    by_channel = images.contiguous(memory_format=torch.contiguous_format)
    assert taken_by_tiles(conv, by_channel, torch.float32) == 0
    monkeypatch.setattr(convolutions_on_cpu, "is_fast", lambda: False)
    assert taken_by_tiles(conv, images, torch.float32) == 0
