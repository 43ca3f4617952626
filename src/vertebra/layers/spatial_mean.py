"""The mean over all positions of a map, for gates."""

import math

from torch import Tensor


def spatial_mean(x: Tensor) -> Tensor:
    """x: [N, C, *sides] -> [N, C, 1, ...], summed in float32 whatever x's dtype.

    Where a gradient is to come it is a sum that is divided: then no position's share of it is
    written out before it is added to others, and torch 2.15 copies no bf16 map to fp32.
    """
    sides = tuple(range(2, x.ndim))
    if not x.requires_grad:
        return x.mean(sides, keepdim=True)
    return x.sum(sides, keepdim=True, dtype=x.dtype) / math.prod(x.shape[2:])
