"""Numbers that a device may still be computing, for a host that does not wait until it needs them.

A host that reads a number waits for the device, and meanwhile gives it nothing more to do. So the
copy is queued where the number is made, and read when more work is queued behind it.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor


class Reading:
    """The values of a tensor [n], on the host when they are first asked for.

    On CUDA that waits for what was queued before this was made, and for nothing behind it; on MPS
    for all that is queued. The tensor is not to be written to afterwards.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._copied: torch.cuda.Event | None = None
        if tensor.device.type == "cuda":
            # pinned, else the copy would wait here
            on_host = torch.empty_like(tensor, device="cpu", pin_memory=True)
            on_host.copy_(tensor, non_blocking=True)
            # blocking: the core is left to the workers, which make the next batches
            self._copied = torch.cuda.Event(blocking=True)
            self._copied.record(torch.cuda.current_stream(tensor.device))
            tensor = on_host
        self._tensor = tensor

    @cached_property
    def values(self) -> Sequence[float]:
        """The numbers, n of them."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._tensor.tolist()
