"""A network as a list of fused operators for images of one size, on a CPU."""

from typing import NamedTuple

from torch import Tensor, fx, nn

from vertebra.export.fusing import fuse
from vertebra.export.overwriting import overwrite, take_back
from vertebra.export.rearranging import rearrange
from vertebra.export.recorded import fold_constants, record
from vertebra.export.scripted import Script


class Operators(NamedTuple):
    """What a network does, as one module without parts.

    module: called from Python where TorchScript does not know what one of them takes or gives.
    packed: convolutions and linear maps among them with packed weights.
    """

    module: Script | fx.GraphModule
    packed: int


def fused_operators(net: nn.Module, image: Tensor, *, count: int) -> Operators | None:
    """Returns what `net`, in evaluation, does with images of the size and type of this one,
    [1, C, H, W]; None where it cannot be recorded, as it decides by what it computes.

    A network that is recorded loses the weights that are packed, and is of no more use.

    count: images in a call that are expected. What comes out takes one image if that is 1, else any
           number from two on.
    """
    try:
        module = record(net, image, is_one=count == 1)
    except Exception:  # a network may do anything when watched; unwatched it still answers
        return None
    take_back(module)
    fold_constants(module)
    rearrange(module, count=count)
    packed = fuse(module, count=count)
    module.graph.eliminate_dead_code()
    overwrite(module)
    try:
        return Operators(Script(module), packed)
    except (OSError, RuntimeError):  # our source is not at hand, or it answers with a number, say
        module.recompile()
        return Operators(module, packed)
