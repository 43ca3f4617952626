"""The fast form of a trained network for one device: the same answers, checked on the spot.

norms       folded into the convolutions before them
layout      channels last, where convolutions are faster
packing     on a CPU, convolutions and linear maps laid out once for oneDNN, with activations
precision   fp32, or bf16 where the device has instructions for it
compiling   by torch.compile with frozen weights, where it is asked for
"""

from math import inf, isnan
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from vertebra.contracts import fused
from vertebra.engine.heap import give_back
from vertebra.errors import DeviceError, MismatchError
from vertebra.export.packed import can_pack, pack
from vertebra.layers.layout import lay_out_by_pixel
from vertebra.layers.modes import evaluating
from vertebra.models.folding import fold_norms

Precision = Literal["fp32", "bf16"]

BOUNDS: dict[Precision, float] = {"fp32": 1e-4, "bf16": 5e-2}
"""How far answers may lie from the network's, as a share of the largest in their tensor."""

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Optimized(nn.Module):
    """A network for inference: images [N, C, H, W] -> what the network gives, in fp32.

    difference: how far its answers lay from the network's, as a share of the largest.
    packed:     convolutions and linear maps that are laid out for this CPU.
    """

    def __init__(self, net: nn.Module, dtype: torch.dtype, *, packed: int) -> None:
        super().__init__()
        self.net = net
        self.packed = packed
        self.difference = 0.0
        self._dtype = dtype

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Any:
        """images: [N, C, H, W] -> what the network gives for them, without gradients."""
        by_pixel = images.to(self._dtype).contiguous(memory_format=torch.channels_last)
        return tree_map(_single, self.net(by_pixel))


def optimize(
    model: nn.Module,
    example: Tensor,
    *,
    precision: Precision = "fp32",
    compile: bool = False,
    batch_size: int | None = None,
    bound: float | None = None,
) -> Optimized:
    """Returns the fast form of `model`, ours, timm's or any of 2D convolutions; it stays as it is.

    example:    images [N, C, H, W] on the model's device, of the size that is expected: both forms
                answer on them. Other sizes and numbers of images work too.
    batch_size: images in a call that are expected; by default N.
    bound:      on how far the answers may lie apart, as a share of the largest; `BOUNDS` by
                default.

    On a CPU the memory that making it took goes back to the system.

    Raises:
        DeviceError: bf16 is asked for, and the device has no instructions for it.
        MismatchError: the answers lie farther apart than that.
    """
    if precision == "bf16" and not has_bf16(example.device):
        raise DeviceError(f"{example.device} has no bf16 instructions; use precision fp32")
    net = fused(model)  # in fp32, so that folded weights are rounded once
    example = example.contiguous(memory_format=torch.channels_last)
    fold_norms(net, example)
    lay_out_by_pixel(net)
    dtype = _DTYPES[precision]
    net = net.to(dtype).requires_grad_(False)
    packed = 0
    if compile:
        net.compile(options={"freezing": True})
    elif can_pack(example.device):
        packed = pack(net, example.to(dtype), batch_size=batch_size)
    fast = Optimized(net, dtype, packed=packed).eval()
    found = compare(model, fast, example)
    most = BOUNDS[precision] if bound is None else bound
    if not found.share <= most:  # NaN too
        raise MismatchError(
            f"the fast form's answers lie {found.share:.2g} of the largest ({found.largest:.3g}) "
            f"from the network's, and {most:g} is allowed; use the network as it is (--no-optimize)"
        )
    fast.difference = found.share
    give_back(example.device)
    return fast


class Difference(NamedTuple):
    """How far apart a tensor of answers lies at most, as a share of the largest of them."""

    share: float
    largest: float


def compare(model: nn.Module, other: nn.Module, images: Tensor) -> Difference:
    """Returns the largest difference, by its share, of all tensors that the two answer with.

    Both are in evaluation mode for it. What is no number counts as the largest of all.
    """
    with evaluating(model), evaluating(other), torch.inference_mode():
        pairs = zip(_answers(model(images)), _answers(other(images)), strict=True)
        found = [_apart(*pair) for pair in pairs]
    return max(found, key=lambda each: inf if isnan(each.share) else each.share)


def _answers(outputs: Any) -> list[Tensor]:
    leaves = tree_leaves(outputs)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _apart(wanted: Tensor, got: Tensor) -> Difference:
    largest = float(wanted.abs().max())
    return Difference(float((wanted - got).abs().max()) / (largest or 1.0), largest)


def has_bf16(device: torch.device) -> bool:
    """Says whether the device computes in bf16 rather than imitating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def _single(leaf: Any) -> Any:
    return leaf.float() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf
