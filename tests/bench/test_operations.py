"""What is counted, and which shapes come out, are what torch counts and gives."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vertebra.bench.account import account
from vertebra.bench.operations import operations
from vertebra.models.shelf import find_entry
from vertebra.tasks.classify import create_model
from vertebra.uncompiled import outline

OURS = ("resnet18", "resnest14", "sknet50", "ghostnet_100", "convnext_tiny", "levit_192")
MORE = ("resnetv2_50x1_bit", "resnet50_gn_ws", "g_ghost_regnet_0_2", "resnet3d50", "resnetrs200")
THEIRS = ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "efficientnet_b0", "convit_tiny")


class Attention(nn.Module):
    """Attends by torch's own operator, and by its module of many weights."""

    def __init__(self) -> None:
        super().__init__()
        self.many = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = images.flatten(2).transpose(1, 2)
        q, k, v = tokens[:, None], tokens[:, None, 1:], tokens[:, None, 1:, :6]
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        return attended.sum() + self.many(tokens, tokens, tokens)[0]


def torchs(net: nn.Module, *, image_size: int, in_channels: int = 3) -> int:
    """Returns the multiply-adds that torch's own counter finds."""
    net = net.to("meta").eval().requires_grad_(False)
    image = torch.empty(1, in_channels, image_size, image_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(image)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    "name",
    [
        *OURS,
        *(pytest.param(each, marks=pytest.mark.slow) for each in MORE),
        *(pytest.param(f"timm/{each}", marks=pytest.mark.slow) for each in THEIRS),
    ],
)
def test_the_multiply_adds_are_those_of_torchs_counter(name: str):
    size = 224 if name.startswith("timm/") else find_entry(name).image_size
    with outline():
        net = create_model(name, num_classes=10)
    assert account(net, image_size=size).macs == torchs(net, image_size=size) > 0


def test_attention_is_counted_in_every_form():
    net = Attention()
    sites = 6 * 6
    found = account(net, image_size=6, in_channels=8)
    fused = sites * (sites - 1) * (8 + 6)
    many = 2 * sites * sites * 8 + sites * 8 * 32
    assert found.macs == fused + many == torchs(net, image_size=6, in_channels=8)


def test_torch_has_its_settings_back():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(RuntimeError):
            operations(nn.Sequential(nn.Linear(6, 4)), image_size=5)
        assert torch.backends.mha.get_fastpath_enabled() and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@given(st.data())
def test_convolutions_give_what_torch_gives(data: st.DataObject):
    rank, is_transposed = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    groups = data.draw(st.sampled_from([1, 2]))
    sizes = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    stride = data.draw(sizes)
    settings = {
        "kernel_size": data.draw(sizes),
        "stride": stride,
        "padding": data.draw(sizes),
        "dilation": data.draw(sizes),
        "groups": groups,
        **({"output_padding": [each - 1 for each in stride]} if is_transposed else {}),
    }
    names = "ConvTranspose" if is_transposed else "Conv"
    conv = getattr(nn, f"{names}{rank}d")(4, 6, **settings)
    shape = {1: (12, 9), 2: (12, 9), 3: (12, 9)}[rank]
    net = nn.Sequential(Reshaped(rank), conv)
    found = operations(net, image_size=shape, in_channels=4 * (9 if rank == 3 else 1))
    images = torch.zeros(1, 4 * (9 if rank == 3 else 1), *shape)
    assert found.shapes["1"] == conv(net[0](images)).shape[1:]


class Reshaped(nn.Module):
    """Gives an image [1, C, 12, 9] as [1, 4, L], [1, 4, 12, 9] or [1, 4, 9, 12, 9]."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.reshape(1, 4, *((-1,), (12, 9), (9, 12, 9))[self.rank - 1])


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Conv2d(4, 4, 3), "to have 4 channels, but got 3 channels"),
        (nn.Conv2d(3, 4, 9), "Kernel size can't be greater than actual input size"),
        (nn.Linear(6, 4), "mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_what_does_not_fit_torch_refuses(net: nn.Module, message: str):
    with pytest.raises(RuntimeError, match=message):
        operations(nn.Sequential(net), image_size=5)


def test_parts_have_shapes_by_name():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()))
    found = operations(net, image_size=(9, 7))
    assert found.shapes == dict.fromkeys(("0", "1", "1.0", "1.1"), (4, 4, 3))
    (only,) = found.all
    assert (only.kind, only.macs, only.numbers) == ("convolution", 12 * 4 * 27, 48)
    assert only.parts == ("0",)


def test_to_count_imports_nothing_of_torchs_compiler():
    code = """
import sys
from vertebra.bench.anatomy import anatomy
from vertebra.bench.operators import operators
from vertebra.tasks.classify import create_model
from vertebra.uncompiled import outline

for name in ("resnetrs50", "resnest50", "ghostnet_100", "convnext_tiny", "levit_192"):
    with outline():
        model = create_model(name, num_classes=10)
    operators(model, image_size=224)
    anatomy(model, image_size=224)
print([each for each in ("torch._dynamo", "sympy", "triton") if each in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
