"""Layer norm over the channels of each place of a map."""

from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """[N, C, H, W] -> the same: each place's channels get mean 0 and variance 1, then an affine."""

    def __init__(self, channels: int, *, epsilon: float = 1e-6) -> None:
        super().__init__(channels, eps=epsilon)

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, C, H, W] -> the same, with channels last in memory."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
