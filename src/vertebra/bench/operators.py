"""What one image costs a model, by kind of operator."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vertebra.bench.shadow import shadow, shadow_image

KINDS = ("convolution", "depthwise", "linear", "matmul")


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
    """Returns the operations of `model` in evaluation; computes nothing and leaves it as it is.

    image_size: side, or height and width, in pixels.
    """
    net = shadow(model)
    image = shadow_image(net, image_size=image_size, in_channels=in_channels)
    tally = _Tally()
    aten = torch.ops.aten
    watched = {
        aten.convolution: tally.convolution,
        aten.mm: tally.mm,
        aten.addmm: tally.addmm,
    }
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=watched) as counter:
        net(image)
    rest = counter.get_total_flops() // 2 - sum(tally.macs.values())
    return Operators({**tally.macs, "matmul": rest}, tally.activations)


class _Tally:
    """Takes the shapes of the operators that have weights; gives back twice their multiply-adds."""

    def __init__(self) -> None:
        self.macs: dict[str, int] = {"convolution": 0, "depthwise": 0, "linear": 0}
        self.activations = 0

    def convolution(self, *given: Any, out_shape: Sequence[int]) -> int:
        """given: shapes of x and of the weight, ..., whether it is transposed, ..., groups."""
        x, weight, is_transposed, groups = given[0], given[1], given[6], given[8]
        # each number that comes out met one filter; of a transposed one, each that went in
        macs = prod(x if is_transposed else out_shape) * prod(weight[1:])
        is_depthwise = groups == x[1] and groups > 1
        return self._add("depthwise" if is_depthwise else "convolution", macs, out_shape)

    def mm(self, x: Sequence[int], _: Any, *, out_shape: Sequence[int]) -> int:
        return self._add("linear", x[-1] * prod(out_shape), out_shape)

    def addmm(self, _: Any, x: Sequence[int], weight: Any, *, out_shape: Sequence[int]) -> int:
        return self.mm(x, weight, out_shape=out_shape)

    def _add(self, kind: str, macs: int, out_shape: Sequence[int]) -> int:
        self.macs[kind] += macs
        self.activations += prod(out_shape)
        return 2 * macs
