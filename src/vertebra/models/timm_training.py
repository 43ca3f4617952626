"""timm's networks as they train faster: without passes over memory that would be made for nothing.

Values, gradients and names of weights stay as they are. An activation in place whose gradient reads
what it was given makes autograd copy that first; a gate that takes a mean writes each position's
share of a gradient out (`spatial_mean`). A convolution padded as TensorFlow does calls torch's by
itself: ours goes the way that is faster on a CPU (`convolutions_on_cpu`).
"""

from collections import OrderedDict

from torch import Tensor, nn

from vertebra.layers.conv_like import conv_like
from vertebra.layers.same_conv import SameConv2d
from vertebra.layers.spatial_mean import spatial_mean

_COPIED = nn.SiLU, nn.Mish, nn.Hardswish
"""Activations whose gradients read what they were given."""


def spare_passes(net: nn.Module) -> None:
    """Changes activations, gates and convolutions of a network of timm."""
    from timm.layers.conv2d_same import Conv2dSame
    from timm.layers.squeeze_excite import SEModule
    from timm.models._efficientnet_blocks import SqueezeExcite

    for parent in [*net.modules()]:
        if isinstance(parent, _COPIED):
            parent.inplace = False
        for name, child in parent.named_children():
            if type(child) is SqueezeExcite or (type(child) is SEModule and not child.add_maxpool):
                setattr(parent, name, _Gate(OrderedDict(child.named_children())))
            elif isinstance(child, nn.Conv2d) and type(child) is Conv2dSame:
                setattr(parent, name, conv_like(child, SameConv2d))


class _Gate(nn.Sequential):
    """A gate of timm's, its parts under their names, which stand in the order of their use."""

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, C, H, W] -> the same shape."""
        return input * super().forward(spatial_mean(input))
