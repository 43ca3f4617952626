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
        if not isinstance(self.norm, nn.BatchNorm2d):
            return self
        conv = fuse_conv_bn_eval(self.conv, self.norm)
        if isinstance(self.act, nn.Identity):
            return conv
        return nn.Sequential(OrderedDict(conv=conv, act=self.act))
