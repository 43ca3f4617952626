"""The residual network that an Arch-Net stands for, read part by part as 3x3 convolutions.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors, for the 1x1 in the middle of a 3x3.
Differs: the taps around it are zero, where theirs are 1e-10. The projection of form D, which the
authors do not treat, is one convolution that averages and projects; where a map's side is odd, its
last cells count half.

    1x1    0 0 0      2x2/2 average, then 1x1    0  0   0       the cell in the middle is the first
           0 w 0                                 0 w/4 w/4      of the two that are averaged
           0 0 0                                 0 w/4 w/4
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.models.residual_blocks import BasicBlock, Bottleneck
from vertebra.models.shell import ResidualNet, Stem

ResidualUnit: TypeAlias = BasicBlock | Bottleneck


class Conv3x3(NamedTuple):
    """A convolution without bias, of `kernel` [C, in_channels, 3, 3], and what follows it."""

    kernel: Tensor
    stride: int
    norm: nn.Module
    has_relu: bool


def as_3x3(part: nn.Module) -> Conv3x3:
    """Returns a convolution with its norm, or a projecting shortcut, as one 3x3.

    Raises:
        RecipeError: it is neither, or has another kernel.
    """
    if isinstance(part, nn.Sequential):
        pool, project = part
        inner = as_3x3(project)
        if isinstance(pool, nn.Identity):
            return inner
        mean = inner.kernel[:, :, 1:2, 1:2].expand(-1, -1, 2, 2) / 4
        return inner._replace(kernel=F.pad(mean, (1, 0, 1, 0)), stride=2)
    if isinstance(part, ConvNorm) and part.conv.kernel_size in ((1, 1), (3, 3)):
        edge = (3 - part.conv.kernel_size[0]) // 2
        kernel = F.pad(part.conv.weight.detach(), (edge,) * 4)
        has_relu = not isinstance(part.act, nn.Identity)
        return Conv3x3(kernel, part.conv.stride[0], part.norm, has_relu)
    raise RecipeError(f"a {type(part).__name__} is no 3x3 convolution and cannot be made one")


def units_of(block: ResidualUnit) -> tuple[nn.Module, ...]:
    """Returns the convolutions of the branch, each with its norm."""
    if isinstance(block, BasicBlock):
        return block.first, block.second
    return block.reduce, block.spatial, block.expand


def blocks_of(stage: nn.Module) -> Iterator[ResidualUnit]:
    """Yields the blocks of a stage."""
    for block in stage.children():
        if isinstance(block, BasicBlock | Bottleneck):
            yield block


def feature_channels(net: ResidualNet) -> list[int]:
    """Returns the channels of what each part gives: stem, then units and end of each block."""
    if not isinstance(net.stem, Stem):
        raise RecipeError(f"a {type(net.stem).__name__} is no stem of a residual network")
    found = [net.stem.channels]
    for stage in net.stages:
        for block in blocks_of(stage):
            found += [as_3x3(unit).kernel.shape[0] for unit in units_of(block)]
            found.append(block.out_channels)
    return found
