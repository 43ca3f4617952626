"""A convolution of patches that do not overlap."""

from torch import Tensor, nn
from torch.nn import functional as F


class PatchConv(nn.Conv2d):
    """[N, in_channels, H, W] -> [N, channels, ceil(H / side), ceil(W / side)].

    Where `side` does not divide a map's sides, zeros below and to the right fill the last patches.
    """

    def __init__(self, in_channels: int, channels: int, side: int) -> None:
        super().__init__(in_channels, channels, side, stride=side)

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, in_channels, H, W] -> [N, channels, ceil(H / side), ceil(W / side)]."""
        below, right = -input.shape[2] % self.stride[0], -input.shape[3] % self.stride[1]
        if below or right:  # else padding would copy the whole map
            input = F.pad(input, (0, right, 0, below))
        return super().forward(input)
