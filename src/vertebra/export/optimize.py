"""The fast form of a trained network for one device: the same answers, checked on the spot.

branches    merged into one convolution, where timm says how
norms       folded into the convolutions before them
layout      channels last, where convolutions are faster
operators   on a CPU, recorded for the size that is expected, fused, and with packed weights
precision   fp32, or bf16 where the device has instructions for it
compiling   by torch.compile with frozen weights, where it is asked for
"""

from math import inf, isnan
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from vertebra.contracts import fused
from vertebra.engine.execution import Precision, has_bf16
from vertebra.engine.heap import give_back
from vertebra.errors import DeviceError, MismatchError
from vertebra.export.operators import Operators, fused_operators
from vertebra.export.packed import can_pack
from vertebra.layers.layout import lay_out_by_pixel
from vertebra.layers.modes import evaluating
from vertebra.models.folding import fold_norms
from vertebra.models.timm_branches import merge_branches

BOUNDS: dict[Precision, float] = {"fp32": 1e-4, "bf16": 5e-2}
"""How far answers may lie from the network's, as a share of the largest in their tensor."""

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Optimized(nn.Module):
    """A network for inference: images [N, C, H, W] -> what the network gives, in fp32.

    net:        what computes it.
    difference: how far its answers lay from the network's, as a share of the largest.
    packed:     convolutions and linear maps that are laid out for this CPU.
    """

    def __init__(self, net: nn.Module, dtype: torch.dtype, *, packed: int = 0) -> None:
        super().__init__()
        self.net = net
        self.packed = packed
        self.difference = 0.0
        self.dtype = dtype

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Any:
        """images: [N, C, H, W] -> what the network gives for them, without gradients."""
        by_pixel = images.to(self.dtype).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, enabled=False):  # all is in its type already
            return tree_map(_single, self.net(by_pixel))


class Recorded(Optimized):
    """The same for images [N, C, H, W] like those it was recorded for, with N = 1 or any above.

    Others go through the network itself, the slow way.
    """

    def __init__(
        self, fast: Operators, dtype: torch.dtype, *, shape: torch.Size, model: nn.Module
    ) -> None:
        super().__init__(fast.module, dtype, packed=fast.packed)
        self._shape = shape
        self._itself = (model,)  # no part of this: it has its own mode, type and device

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Any:
        """images: [N, C, H, W] -> what the network gives for them, without gradients."""
        count, *size = images.shape
        if size == [*self._shape[1:]] and (count == 1) == (self._shape[0] == 1):
            return super().forward(images)
        (model,) = self._itself
        is_half = self.dtype == torch.bfloat16
        with evaluating(model), torch.autocast(images.device.type, torch.bfloat16, enabled=is_half):
            return tree_map(_single, model(images))


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
                answer on them. Images of another size, and a single one where several are expected
                or several where one is, go through `model` itself on a CPU, which is slower.
    batch_size: images in a call that are expected; by default N.
    bound:      on how far the answers may lie apart, as a share of the largest; `BOUNDS` by
                default.

    On a CPU the memory that making it took goes back to the system.

    Raises:
        DeviceError: bf16 is asked for, and the device has no instructions for it.
        FormRefused: the answers lie farther apart than that.
    """
    if precision == "bf16" and not has_bf16(example.device):
        raise DeviceError(f"{example.device} has no bf16 instructions; use precision fp32")
    count = batch_size or len(example)
    fast = _folded(model, example, _DTYPES[precision])
    if compile:
        fast.net.compile(options={"freezing": True})
    elif can_pack(example.device):
        fast = _recorded(fast, model, example, count=count)
    images = example[:1] if count == 1 else example.expand(max(2, len(example)), -1, -1, -1)
    found = compare(model, fast, images)
    most = BOUNDS[precision] if bound is None else bound
    if not found.share <= most:  # NaN too
        raise FormRefused(found, most)
    fast.difference = found.share
    give_back(example.device)
    return fast


def _folded(model: nn.Module, example: Tensor, dtype: torch.dtype) -> Optimized:
    net = fused(model)  # in fp32, so that folded weights are rounded once
    merge_branches(net)
    fold_norms(net, example[:1].contiguous(memory_format=torch.channels_last))
    lay_out_by_pixel(net)
    return Optimized(net.to(dtype).requires_grad_(False), dtype).eval()


def _recorded(folded: Optimized, model: nn.Module, example: Tensor, *, count: int) -> Optimized:
    """Returns the form of fused operators; `folded` where the network cannot be recorded."""
    operators = fused_operators(folded.net, example[:1].to(folded.dtype), count=count)
    if operators is None:
        return folded
    shape = torch.Size((count, *example.shape[1:]))
    return Recorded(operators, folded.dtype, shape=shape, model=model).eval()


class Difference(NamedTuple):
    """How far apart a tensor of answers lies at most, as a share of the largest of them."""

    share: float
    largest: float


class FormRefused(MismatchError):
    """A fast form answers otherwise than its network.

    why: how far apart they lie, and what is allowed; without what to do.
    """

    def __init__(self, found: Difference, most: float) -> None:
        self.why = (
            f"the fast form's answers lie {found.share:.2g} of the largest ({found.largest:.3g}) "
            f"from the network's, and {most:g} is allowed"
        )
        super().__init__(f"{self.why}; use the network as it is (--no-optimize)")


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


def _single(leaf: Any) -> Any:
    return leaf.float() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf
