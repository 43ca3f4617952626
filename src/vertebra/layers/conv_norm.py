"""A convolution without bias, a batch norm and, if wished, an activation."""

from torch import Tensor, nn


class ConvNorm(nn.Module):
    """[N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)].

    kernel: odd, padded by half of it on every side, so that stride alone decides the size.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        act: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, channels, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.Identity() if act is None else act

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        return self.act(self.norm(self.conv(x)))
