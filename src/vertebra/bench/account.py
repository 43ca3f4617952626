"""What a model costs: its parameters, and the multiply-adds of one image."""

from collections.abc import Mapping
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


class Account(NamedTuple):
    """The cost of a model at one image size.

    parameters:   shared ones count once.
    macs:         multiply-adds of convolutions and matrix products for one image; a "FLOP" of most
                  papers is one of them, of some is half of one.
    macs_by_part: the same for each submodule that has any, by its qualified name.
    """

    parameters: int
    macs: int
    macs_by_part: Mapping[str, int]


def account(
    model: nn.Module, *, image_size: int | tuple[int, int], in_channels: int = 3
) -> Account:
    """Returns the cost of `model` in evaluation, found without computing anything or touching it.

    image_size: side, or height and width, in pixels.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    shadow = _shadow(model).eval()
    dtype = next((p.dtype for p in shadow.parameters() if p.is_floating_point()), torch.float32)
    images = torch.empty(1, in_channels, height, width, dtype=dtype, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(images)
    root = type(shadow).__name__
    parts = {
        name.removeprefix(f"{root}."): sum(by_kind.values()) // 2
        for name, by_kind in counter.get_flop_counts().items()
        if name.startswith(f"{root}.")
    }
    return Account(
        parameters=sum(p.numel() for p in model.parameters()),
        macs=counter.get_total_flops() // 2,
        macs_by_part=parts,
    )


def _shadow(model: nn.Module) -> nn.Module:
    """Returns a copy whose tensors have a shape and no storage; allocates nothing large."""
    memo: dict[int, Tensor] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(
            torch.empty_like(parameter, device="meta"), requires_grad=parameter.requires_grad
        )
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return deepcopy(model, memo)
