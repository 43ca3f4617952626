"""A convolution in the place of another one, of another class."""

from typing import TypeVar

from torch import nn

from vertebra.uncompiled import outline

_SETTINGS = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
)

Conv = TypeVar("Conv", bound=nn.Conv2d)


def conv_like(conv: nn.Conv2d, kind: type[Conv]) -> Conv:
    """Returns a convolution of this class, whose constructor is `nn.Conv2d`'s, with the settings
    and the very same weight and bias."""
    settings = {name: getattr(conv, name) for name in _SETTINGS}
    with outline():  # its own tensors are replaced at once
        made = kind(**settings, bias=conv.bias is not None)
    made.weight, made.bias = conv.weight, conv.bias
    return made.train(conv.training)
