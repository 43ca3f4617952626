"""What one pass over memory makes again is not kept for the backward pass: less memory in training.

Autograd keeps what a convolution or a smooth activation was given, as its gradient reads that.
Where it came from a batch norm in training, or is a product (with a gate), all that it was made of
is kept too: there the backward pass makes it again. Of the maps that an EfficientNet keeps that is
every other one.

Both passes have to be made without computing blocks again (`engine/gradient_checkpointing.py`):
what made an input would hold what such a block wants to forget.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from vertebra.layers.instead import instead

_READ_THEIR_INPUT = nn.Conv2d, nn.SiLU, nn.GELU, nn.Mish, nn.Hardswish

_LARGE = 2**18
"""Numbers of an input from which there is something to spare."""

_Make = Callable[[], Tensor]


class RemadeInputs:
    """The convolutions and activations of a network that keep no input which can be made again.

    network: may be called, trained and copied as ever; nothing of this stays in it.
    """

    def __init__(self, network: nn.Module) -> None:
        self._forwards = [
            (each, partial(_keeping_less, each.forward))
            for each in network.modules()
            if isinstance(each, _READ_THEIR_INPUT) and "forward" not in vars(each)  # one of its own
        ]

    def taken(self) -> AbstractContextManager[None]:
        """Has them keep less within."""
        return instead("forward", self._forwards)


class _Left(NamedTuple):
    """Stands for an input, or for a view of all of it."""

    shape: torch.Size
    stride: tuple[int, ...]


def _keeping_less(forward: Callable[[Tensor], Tensor], input: Tensor) -> Tensor:
    make = _maker(input)
    if make is None:
        return forward(input)
    place, numbers = input.data_ptr(), input.numel()

    def leave(kept: Tensor) -> Tensor | _Left:
        is_all = kept.data_ptr() == place and kept.numel() == numbers
        return _Left(kept.shape, kept.stride()) if is_all else kept

    def find(kept: Tensor | _Left) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        made = make().contiguous(memory_format=torch.channels_last)  # as the input was
        return made.as_strided(kept.shape, kept.stride)

    with saved_tensors_hooks(leave, find):
        return forward(input)


def _maker(input: Tensor) -> _Make | None:
    """Returns what makes an input again of what autograd keeps anyway, if something does."""
    is_dense = input.is_contiguous(memory_format=torch.channels_last)
    if input.grad_fn is None or input.numel() < _LARGE or not is_dense:
        return None
    make = _MAKERS.get(type(input.grad_fn).__name__)
    return None if make is None else make(input.grad_fn)


def _normalised(node: Any) -> _Make | None:
    bias = getattr(node.next_functions[2][0], "variable", None)
    if not node._saved_training or bias is None:
        return None

    def make() -> Tensor:
        variance = node._saved_result2.pow(-2)  # of the batch, with what keeps it from 0
        given = (node._saved_input, node._saved_weight, bias, node._saved_result1, variance)
        with torch.no_grad():
            return torch.native_batch_norm(*given, False, 0.0, 0.0)[0]

    return make


def _product(node: Any) -> _Make | None:
    if node._saved_self is None or node._saved_other is None:
        return None

    def make() -> Tensor:
        with torch.no_grad():
            return node._saved_self * node._saved_other

    return make


_MAKERS: dict[str, Callable[[Any], _Make | None]] = {
    "NativeBatchNormBackward0": _normalised,
    "MulBackward0": _product,
}
"""By the name of autograd's node that made the input."""
