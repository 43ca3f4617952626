"""Self-gating: scales each channel by a gate that reads the whole clip through one square layer.

Source: Rethinking Spatiotemporal Feature Learning (2018), section 4 (S3D-G); initialised as in the
code released with Revisiting 3D ResNets for Video Recognition (2021).
"""

import torch
from torch import Tensor, nn


class SelfGating(nn.Module):
    """x -> x * sigmoid(W mean(x) + b), W [channels, channels], drawn from N(0, 0.01) cut at two."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.fc.weight, std=0.01, a=-0.02, b=0.02)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, H, W] -> [N, C, T, H, W]."""
        gate = torch.sigmoid(self.fc(x.mean((2, 3, 4))))
        return x * gate[:, :, None, None, None]
