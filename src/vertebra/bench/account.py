"""What a model costs: its parameters, and the multiply-adds of one image."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vertebra.bench.shadow import shadow, shadow_image


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
    net = shadow(model)
    _leave_out_norms(net)
    image = shadow_image(net, image_size=image_size, in_channels=in_channels)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(image)
    root = type(net).__name__
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


def _leave_out_norms(net: nn.Module) -> None:
    """Takes batch norms out: they keep shapes, are not counted, and take most of the counting."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    for name, part in [*net.named_modules(remove_duplicate=False)]:
        if name and type(part) in kinds:
            net.set_submodule(name, nn.Identity())
