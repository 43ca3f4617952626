"""DropBlock: zeroes squares of a feature map, the same ones in every channel.

Source: DropBlock: A regularization method for convolutional networks (2018), algorithm 1.
Differs: the mask is shared by the channels, and the kept share is measured over the batch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.errors import RecipeError


class DropBlock(nn.Module):
    """Drops about `rate` of each map in squares of `size`, and rescales the rest to keep its mean.

    size:        side of a square, in cells; a smaller map gets smaller squares.
    gamma_scale: multiplies the probability that a square starts at a cell.
    Identity in evaluation.

    Raises:
        RecipeError: `rate` is not in [0, 1), or `size` is not positive.
    """

    def __init__(self, rate: float, *, size: int, gamma_scale: float = 1.0) -> None:
        super().__init__()
        if not 0 <= rate < 1 or size < 1:
            raise RecipeError(
                f"drop block has rate={rate}, size={size}; choose a rate in [0, 1) and a size >= 1"
            )
        self.rate = rate
        self.size = size
        self.gamma_scale = gamma_scale

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] -> [N, C, H, W]; draws from torch's current generator."""
        if not self.training or self.rate == 0:
            return x
        height, width = x.shape[-2:]
        size = min(self.size, height, width)
        # Squares start only where they fit, hence (H - b + 1)(W - b + 1) cells and not H W.
        rows, columns = height - size + 1, width - size + 1
        gamma = self.gamma_scale * self.rate * height * width / (size**2 * rows * columns)
        corners = x.new_empty((x.shape[0], 1, rows, columns)).bernoulli_(min(gamma, 1.0))
        spread = F.pad(corners, (size - 1,) * 4)  # [N, 1, H + b - 1, W + b - 1]
        kept = 1 - F.max_pool2d(spread, size, stride=1)  # [N, 1, H, W]
        share = kept.mean(dtype=torch.float32).clamp(min=1 / kept.numel())
        return x * (kept / share).to(x.dtype)

    def extra_repr(self) -> str:
        """Returns the settings, for printing."""
        return f"rate={self.rate:g}, size={self.size}, gamma_scale={self.gamma_scale:g}"
