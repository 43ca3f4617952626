"""The most memory that a model holds at once: weights, images, activations, gradients, momentum.

On CUDA this is what torch's allocator had given out at most. Elsewhere it is the most bytes of
tensors that were alive between two operators; what an operator needs inside itself is not seen. So
the same model has the same figure on every CPU, and the two kinds are not to be compared.
"""

import gc
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import finalize

import torch
from torch.utils._pytree import tree_leaves

from vertebra.bench.work import Work
from vertebra.uncompiled import Mode


def peak_memory_mb(prepare: Callable[[], Work], device: torch.device) -> float:
    """Returns mebibytes at the peak of one call, of all that `prepare` made and the call made.

    The call is made once before, so that what it makes once and keeps is there.

    Raises:
        torch.OutOfMemoryError: the device, or this machine, has less than it needs.
    """
    gc.collect()
    with _meter(device) as meter:
        work = prepare()
        work()
        gc.collect()
        meter.restart()
        work()
        return meter.peak / 2**20


class LiveBytes(Mode):
    """Counts the bytes of the tensors that were made while it is on and are alive.

    limit_mb: mebibytes at which it stops the work, before the machine stops the process.
    """

    def __init__(self, *, limit_mb: float | None = None) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._limit_mb = limit_mb
        self._known: set[int] = set()

    def restart(self) -> None:
        """Forgets the peak so far; what is alive stays counted."""
        self.peak = self.live

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs the operator and counts what it gave."""
        given = func(*args, **(kwargs or {}))
        for each in tree_leaves(given):
            if isinstance(each, torch.Tensor):
                if each.is_mkldnn:  # packed weights have no storage that can be seen, nor views
                    self._add(each, each.numel() * each.element_size())
                    continue
                storage = each.untyped_storage()
                if storage.device.type != "meta":  # what has no values has no memory
                    self._add(storage, storage.nbytes())
        return given

    def _add(self, storage: torch.UntypedStorage | torch.Tensor, size: int) -> None:
        # a view shares its storage, which counts once; no two storages alive have one id
        if id(storage) in self._known:
            return
        self._known.add(id(storage))
        finalize(storage, self._drop, id(storage), size).atexit = False
        self.live += size
        self.peak = max(self.peak, self.live)
        if self._limit_mb is not None and self.live > self._limit_mb * 2**20:
            raise torch.OutOfMemoryError(f"more than {self._limit_mb:.0f} MiB of tensors are alive")

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


class _CudaPeak:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = torch.cuda.memory_allocated(device)

    def restart(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)

    @property
    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self._device) - self._before


def _meter(device: torch.device) -> AbstractContextManager[LiveBytes | _CudaPeak]:
    if device.type == "cuda":
        return nullcontext(_CudaPeak(device))
    return LiveBytes(limit_mb=usable_mb(device))


def usable_mb(device: torch.device) -> float | None:
    """Returns nine tenths of this machine's memory for its CPU; None where it is not known."""
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return None
    return 0.9 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
