"""A convolution over frames, rows and columns, a norm and, if wished, an activation."""

from typing import TypeAlias

from torch import Tensor, nn

from vertebra.contracts import Foldable
from vertebra.layers.conv_norm import fold

Extent: TypeAlias = tuple[int, int, int]
"""Of a kernel or a stride: frames, rows, columns."""


class ConvNorm3d(Foldable):
    """[N, in_channels, T, H, W] -> [N, channels, ceil(T / stride[0]), ...], as `ConvNorm` in 2D.

    kernel: odd in each direction.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: Extent = (1, 1, 1),
        stride: Extent = (1, 1, 1),
        act: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            in_channels,
            channels,
            kernel,
            stride=stride,
            padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2),
            bias=False,
        )
        self.norm: nn.Module = nn.BatchNorm3d(channels)
        self.act = nn.Identity() if act is None else act

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, T, H, W] -> [N, channels, T', H', W']."""
        return self.act(self.norm(self.conv(x)))

    def folded(self) -> nn.Module:
        """Returns one convolution with a bias, and the activation; of another norm, itself."""
        return fold(self, self.conv, self.norm, act=self.act)
