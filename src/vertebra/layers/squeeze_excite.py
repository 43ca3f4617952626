"""Squeeze-and-excitation: scales each channel by a gate that reads the whole map.

Source: Squeeze-and-Excitation Networks (2018), equations 2 to 4.
"""

import torch
from torch import Tensor, nn

from vertebra.layers.spatial_mean import spatial_mean


class SqueezeExcite(nn.Module):
    """x -> x * sigmoid(W2 relu(W1 mean(x) + b1) + b2), one factor per sample and channel.

    squeezed: width between the two layers (rows of W1).
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W], or clips [N, C, T, H, W] -> the same shape."""
        mean = spatial_mean(x)
        column = mean.flatten(2, -2)  # [N, C, 1, 1]
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(column))))
        return x * gate.view_as(mean)
