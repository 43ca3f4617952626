"""Finds where a host would wait for its device, without a device.

Tensors on "meta" have a shape and no values. What reads one fails there: `item`, `bool`, `tolist`,
`cpu`, `nonzero`, a mask as an index. What is left is sending from the host, which on CUDA waits for
all that is queued unless it is told not to; `Waits` finds that.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")


class Waits(TorchDispatchMode):
    """Keeps the name of each operation inside that would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        if _waits(func, args, kwargs, made):
            self.found.append(str(func))
        return made


def _waits(func: Any, args: Any, kwargs: Any, made: Any) -> bool:
    aten = torch.ops.aten
    if func in (aten._to_copy.default, aten.copy_.default):
        source = [each for each in args if isinstance(each, Tensor)][-1]
        is_told = kwargs.get("non_blocking") or args[2:] == (True,)
        return source.device != made.device and not is_told
    if func in (aten.index_put_.default, aten.index_put.default):
        return any(each is not None and each.dtype == torch.bool for each in args[1])
    # a list of numbers made a tensor on the device
    return func is aten.lift_fresh.default and made.device == META
