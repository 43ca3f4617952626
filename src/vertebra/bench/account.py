"""What a model costs: its parameters, and the multiply-adds of one image."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import nn

from vertebra.bench.operations import Operation, operations


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
    """Returns the cost of `model` in evaluation, which stays as it is.

    image_size: side, or height and width, in pixels.
    """
    found = operations(model, image_size=image_size, in_channels=in_channels).all
    return Account(
        parameters=sum(p.numel() for p in model.parameters()),
        macs=sum(each.macs for each in found),
        macs_by_part=macs_by_part(found),
    )


def macs_by_part(found: Iterable[Operation]) -> dict[str, int]:
    """Returns the multiply-adds of each submodule that has any, by its qualified name."""
    macs = Counter[str]()
    for each in found:
        macs.update(dict.fromkeys(each.parts, each.macs))
    return dict(macs)
