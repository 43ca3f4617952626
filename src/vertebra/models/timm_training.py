"""timm's networks without passes over memory that training would make for nothing.

Values, gradients and names of weights stay as they are. An activation in place whose gradient reads
what it was given makes autograd copy that first; a gate that takes a mean writes each position's
share of a gradient out (`spatial_mean`).
"""

from typing import cast

from torch import Tensor, nn

from vertebra.layers.spatial_mean import spatial_mean

_COPIED = nn.SiLU, nn.Mish, nn.Hardswish
"""Activations whose gradients read what they were given."""


def spare_passes(net: nn.Module) -> None:
    """Changes a network of timm."""
    from timm.layers.squeeze_excite import SEModule
    from timm.models._efficientnet_blocks import SqueezeExcite

    for parent in [*net.modules()]:
        if isinstance(parent, _COPIED):
            parent.inplace = False
        for name, child in parent.named_children():
            if type(child) is SqueezeExcite:
                setattr(parent, name, _EfficientGate(child))
            elif type(child) is SEModule and not child.add_maxpool:
                setattr(parent, name, _Gate(child))


class _EfficientGate(nn.Module):
    """timm's SqueezeExcite of EfficientNet and MobileNet, its parts under their names."""

    def __init__(self, like: nn.Module) -> None:
        super().__init__()
        self.conv_reduce = cast(nn.Module, like.conv_reduce)
        self.act1 = cast(nn.Module, like.act1)
        self.conv_expand = cast(nn.Module, like.conv_expand)
        self.gate = cast(nn.Module, like.gate)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> the same shape."""
        return x * self.gate(self.conv_expand(self.act1(self.conv_reduce(spatial_mean(x)))))


class _Gate(nn.Module):
    """timm's SEModule, its parts under their names."""

    def __init__(self, like: nn.Module) -> None:
        super().__init__()
        self.fc1 = cast(nn.Module, like.fc1)
        self.bn = cast(nn.Module, like.bn)
        self.act = cast(nn.Module, like.act)
        self.fc2 = cast(nn.Module, like.fc2)
        self.gate = cast(nn.Module, like.gate)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> the same shape."""
        return x * self.gate(self.fc2(self.act(self.bn(self.fc1(spatial_mean(x))))))
