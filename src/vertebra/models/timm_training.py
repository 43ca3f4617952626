"""timm's networks without passes over memory that training would make for nothing.

Values, gradients and names of weights stay as they are. An activation in place whose gradient reads
what it was given makes autograd copy that first; a gate that takes a mean writes each position's
share of a gradient out (`spatial_mean`).
"""

from collections import OrderedDict

from torch import Tensor, nn

from vertebra.layers.spatial_mean import spatial_mean

_COPIED = nn.SiLU, nn.Mish, nn.Hardswish
"""Activations whose gradients read what they were given."""


def spare_passes(net: nn.Module) -> None:
    """Changes activations and gates of a network of timm."""
    from timm.layers.squeeze_excite import SEModule
    from timm.models._efficientnet_blocks import SqueezeExcite

    for parent in [*net.modules()]:
        if isinstance(parent, _COPIED):
            parent.inplace = False
        for name, child in parent.named_children():
            if type(child) is SqueezeExcite or (type(child) is SEModule and not child.add_maxpool):
                setattr(parent, name, _Gate(OrderedDict(child.named_children())))


class _Gate(nn.Sequential):
    """A gate of timm's, its parts under their names, which stand in the order of their use."""

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, C, H, W] -> the same shape."""
        return input * super().forward(spatial_mean(input))
