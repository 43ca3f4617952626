"""What a ReLU makes of normally distributed numbers."""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

SMALLEST = 1e-8


class Spread(NamedTuple):
    """Mean and standard deviation of each channel, [C] and [C]."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def behind(cls, norm: nn.Module) -> Self:
        """Returns how the output of a batch norm is spread while it learns: as its affine says.

        Raises:
            TypeError: it is another norm.
        """
        if not isinstance(norm, nn.BatchNorm2d):
            raise TypeError(f"{type(norm).__name__} is no batch norm over images")
        return cls(norm.bias.detach(), norm.weight.detach().abs())

    def plus(self, other: "Spread") -> "Spread":
        """Returns the spread of the sum with something independent."""
        deviation = torch.hypot(self.deviation, other.deviation)
        return Spread(self.mean + other.mean, deviation)

    def rectified(self) -> "Spread":
        """Returns the spread of max(x, 0) of normally distributed x."""
        deviation = self.deviation.clamp(min=SMALLEST)
        share = self.mean / deviation
        density = (-(share**2) / 2).exp() / math.sqrt(2 * math.pi)
        below = torch.special.ndtr(share)
        mean = self.mean * below + deviation * density
        square = (self.mean**2 + deviation**2) * below + self.mean * deviation * density
        return Spread(mean, (square - mean**2).clamp(min=0).sqrt())
