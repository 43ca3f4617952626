"""The batch size at which a model handles most images a second."""

import time
from collections.abc import Callable
from statistics import median

import torch

from vertebra.bench.latency import timed
from vertebra.bench.work import Work

MOST = 1024
_GAIN = 1.02
_CALLS = 3


def best_batch_size(
    work_of: Callable[[int], Work],
    *,
    synchronize: Work,
    most: int = MOST,
    budget_s: float = 5.0,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Returns the best of 1, 2, 4, ...: looks until two doublings in a row bring under 2%, memory
    runs out, or `budget_s` seconds are spent.

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """
    best, best_rate, size, ends = 1, 0.0, 1, clock() + budget_s
    while size <= most and size <= 4 * best and (size == 1 or clock() < ends):
        try:
            work = work_of(size)
            work()
            rate = size / median(timed(work, synchronize, clock) for _ in range(_CALLS))
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            break
        if rate > _GAIN * best_rate:
            best, best_rate = size, rate
        size *= 2
    return best
