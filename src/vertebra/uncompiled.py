"""What torch imports its compiler for, without it: optimizers, modes, and networks in outline.

Torch hides parts of optimizers and modes from its compiler, and imports it to do so: seconds before
the first step, and memory. What is here is never compiled, so there is nothing to hide. What
optimizers compute and keep is torch's own.
"""

# torch documents what watches every operator under a private name only
# pyright: reportPrivateUsage=false

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode


class Mode(TorchDispatchMode):
    """What sees every operator that torch runs while it is entered."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


@contextmanager
def outline() -> Generator[None]:
    """Has what is built within on the meta device: a network with shapes, but without values.

    There, torch's compiler would say what shape random numbers have that are drawn in place.
    """
    with torch.device("meta"), _InPlace():
        yield


class _InPlace(Mode):
    """Leaves tensors without values as they are, where values would be written into them."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if _fills(func) and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def _fills(func: OpOverload) -> bool:
    """Says whether an operator does no more than to write over its first argument."""
    first, *others = [each.alias_info for each in func._schema.arguments] or [None]
    is_written = first is not None and first.is_write and not any(others)
    return is_written and torch.Tag.inplace_view not in func.tags


class Optimizer(torch.optim.Optimizer):
    """What torch's optimizers have in common."""

    add_param_group: Any = unwrap(torch.optim.Optimizer.add_param_group)
    load_state_dict: Any = unwrap(torch.optim.Optimizer.load_state_dict)
    state_dict: Any = unwrap(torch.optim.Optimizer.state_dict)
    zero_grad: Any = unwrap(torch.optim.Optimizer.zero_grad)


class SGD(Optimizer, torch.optim.SGD):
    """Stochastic gradient descent with momentum."""

    step: Any = torch.no_grad()(unwrap(torch.optim.SGD.step))


class AdamW(Optimizer, torch.optim.AdamW):
    """Adam with decoupled weight decay."""

    step: Any = torch.no_grad()(unwrap(torch.optim.AdamW.step))
