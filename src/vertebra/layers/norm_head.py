"""The classifier's last layer with a batch norm before it.

Source: LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference (2021), section 4.2.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from vertebra.contracts import Foldable
from vertebra.layers.linear_head import LinearHead


class NormHead(Foldable):
    """Vector [N, width] -> logits [N, classes]; weights start at N(0, 0.02), biases at zero.

    Raises:
        RecipeError: `classes` is not positive, or `dropout` is not in [0, 1).
    """

    def __init__(self, width: int, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm1d(width)
        self.linear = LinearHead(width, classes, dropout=dropout)
        nn.init.normal_(self.linear.fc.weight, std=0.02)

    def forward(self, vector: Tensor) -> Tensor:
        """vector: [N, width] -> logits [N, classes]."""
        return self.linear(self.norm(vector))

    def folded(self) -> nn.Module:
        """Returns one linear map, (W s) x + (W t + b); of another norm, itself."""
        norm, linear = self.norm, deepcopy(self.linear.fc)
        if not isinstance(norm, nn.BatchNorm1d):
            return self
        mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        with torch.no_grad():
            scale = norm.weight * torch.rsqrt(variance + norm.eps)
            linear.bias.add_(linear.weight @ (norm.bias - mean * scale))
            linear.weight.mul_(scale)
        return linear
