"""Ghost modules in place of a network's convolutions: on any network, and as Ghost-ResNet.

Source: GhostNet: More Features from Cheap Operations (2020), sections 4.1 and 4.2.
Differs: Ghost-ResNet-50 costs the operations of the paper's table but has more parameters, 13.95 M
and 8.15 M where it says 13.0 M and 6.5 M; which network it counts is not known.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from vertebra.contracts import Backbone
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.ghost import GhostModule
from vertebra.models.ranges import require_count, require_factor
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shell import initialise

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def ghosted(model: AnyModule, *, ratio: int = 2, cheap_kernel: int = 3) -> AnyModule:
    """Returns a copy with a fresh Ghost module for each `ConvNorm`, but for the first convolution.

    The rest keeps its weights. Convolutions in groups, and those without a `ConvNorm` around them
    (gates, for one), stay. Ghost modules have batch norms, whatever norm stood there; they are not
    zero-initialised at the end of a residual branch.

    Raises:
        RecipeError: `ratio` is not positive, or `cheap_kernel` is not odd.
    """
    copy = deepcopy(model)
    first = next((part for part in copy.modules() if isinstance(part, nn.Conv2d)), None)
    _swap_within(copy, first, ratio, cheap_kernel)
    return copy


def _swap_within(module: nn.Module, first: nn.Conv2d | None, ratio: int, cheap_kernel: int) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, ConvNorm):
            if child.conv is not first and child.conv.groups == 1:
                setattr(module, name, _ghost_of(child, ratio, cheap_kernel))
        elif not isinstance(child, GhostModule):
            _swap_within(child, first, ratio, cheap_kernel)


def _ghost_of(part: ConvNorm, ratio: int, cheap_kernel: int) -> GhostModule:
    conv = part.conv
    ghost = GhostModule(
        conv.in_channels,
        conv.out_channels,
        kernel=conv.kernel_size[0],
        stride=conv.stride[0],
        dilation=conv.dilation[0],
        ratio=ratio,
        cheap_kernel=cheap_kernel,
        act=part.act,
    )
    initialise(ghost, zero_init_last=False)
    return ghost.to(conv.weight).train(part.training)


@dataclass(frozen=True, kw_only=True)
class GhostResNetSpec:
    """A residual network of bottlenecks, form B, of Ghost modules as a value.

    blocks:       number of blocks in each stage, before `depth` multiplies it.
    ratio:        s; one channel in s is computed, the others are derived from it.
    cheap_kernel: d, odd; side of the kernels that derive them.
    width, depth: as of a `ResNetSpec`.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    ratio: int = 2
    cheap_kernel: int = 3
    width: float = 1.0
    depth: float = 1.0

    def __post_init__(self) -> None:
        require_count("ratio", self.ratio)
        require_count("cheap_kernel", self.cheap_kernel)
        require_factor("width", self.width)
        require_factor("depth", self.depth)
        if self.cheap_kernel % 2 == 0:
            raise RecipeError(f"cheap_kernel={self.cheap_kernel}; give an odd one, such as 3")
        self._plain()

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        plain = self._plain().build(in_channels)
        return ghosted(plain, ratio=self.ratio, cheap_kernel=self.cheap_kernel)

    def _plain(self) -> ResNetSpec:
        """Returns the network before its convolutions are replaced; refuses what that refuses."""
        return ResNetSpec(
            blocks=self.blocks, width=self.width, depth=self.depth, zero_init_last=False
        )


NAMED: Mapping[str, GhostResNetSpec] = {
    "ghost_resnet50_s2": GhostResNetSpec(ratio=2),
    "ghost_resnet50_s4": GhostResNetSpec(ratio=4),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
