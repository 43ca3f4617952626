"""A convolution without bias, a norm and, if wished, an activation."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vertebra.contracts import Foldable


class ConvNorm(Foldable):
    """[N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)].

    kernel: odd, padded by half of what it spans on every side, so that stride alone decides the
            size.
    act:    whatever follows the norm; None is nothing.
    """

    norm: nn.Module

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        act: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            channels,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.Identity() if act is None else act

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        return self.act(self.norm(self.conv(x)))

    def folded(self) -> nn.Module:
        """Returns one convolution with a bias, and the activation; of another norm, itself."""
        return fold(self, self.conv, self.norm, act=self.act)


def fold(
    whole: nn.Module, conv: nn.Conv2d | nn.Conv3d, norm: nn.Module, *, act: nn.Module | None = None
) -> nn.Module:
    """Returns what `whole` (convolution, norm, activation) is in evaluation with the norm folded.

    A convolution with a bias, then the activation if it is one; of any but a batch norm, `whole`.
    """
    if not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
        return whole
    folded = fuse_conv_bn_eval(conv, norm)
    if act is None or isinstance(act, nn.Identity):
        return folded
    return nn.Sequential(OrderedDict(conv=folded, act=act))
