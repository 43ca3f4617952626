"""What one image costs a model, by kind of operator."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from vertebra.bench.operations import KINDS, operations


class Operators(NamedTuple):
    """The operations of one image; what norms, activations and poolings do is not counted.

    macs:        multiply-adds of each kind: "convolution" (grouped ones too), "depthwise" (a
                 channel a group), "linear" (features times weights) and "matmul" (features times
                 features, as in attention). They add up to `Account.macs`.
    activations: numbers that convolutions and linear layers put out; on fast devices they tell
                 more of the time than the multiply-adds.
    """

    macs: Mapping[str, int]
    activations: int


def operators(
    model: nn.Module, *, image_size: int | tuple[int, int], in_channels: int = 3
) -> Operators:
    """Returns the operations of `model` in evaluation, which stays as it is.

    image_size: side, or height and width, in pixels.
    """
    found = operations(model, image_size=image_size, in_channels=in_channels).all
    macs: dict[str, int] = dict.fromkeys(KINDS, 0)
    for each in found:
        macs[each.kind] += each.macs
    return Operators(macs, sum(each.numbers for each in found if each.kind != "matmul"))
