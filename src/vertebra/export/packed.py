"""Weights laid out once for this CPU.

oneDNN, which computes torch's convolutions on a CPU, works on weights in blocks of its own; torch
lays them out anew in every call. Here that is done once, for the number and size of images that are
expected; others give the same, more slowly. Linear maps, which torch gives to another library,
gain too.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def can_pack(device: torch.device) -> bool:
    """Says whether this build of torch packs weights for the device."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available()


def pack_convolution(
    weight: Tensor,
    *,
    padding: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    shape: Sequence[int],
) -> Tensor:
    """weight: [channels, in_channels / groups, height, width] -> the same, opaque, for
    `mkldnn._convolution_pointwise`; `shape` [N, in_channels, H, W] is of what is expected."""
    return torch.ops.mkldnn._reorder_convolution_weight(
        weight.detach().contiguous(), padding, stride, dilation, groups, shape
    )


def pack_linear(weight: Tensor, *, shape: Sequence[int]) -> Tensor:
    """weight: [features, in_features] -> the same, opaque, for `mkldnn._linear_pointwise`; `shape`
    [..., in_features] is of what is expected."""
    rows = torch.Size(shape[:-1]).numel()
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)
