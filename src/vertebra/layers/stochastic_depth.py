"""Stochastic depth: drops a whole residual branch, for each sample on its own.

Source: Deep Networks with Stochastic Depth (2016), section 3.
Differs: kept branches are scaled by 1 / keep while training instead of by keep in evaluation.
"""

from torch import Tensor, nn

from vertebra.errors import RecipeError


class StochasticDepth(nn.Module):
    """Multiplies each sample by 0, with probability `rate`, or else by 1 / (1 - rate).

    Identity in evaluation.

    Raises:
        RecipeError: `rate` is not in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise RecipeError(f"stochastic depth has rate={rate}; choose one in [0, 1)")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, ...] -> [N, ...]; draws from torch's current generator."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * (mask / keep)

    def extra_repr(self) -> str:
        """Returns the rate, for printing."""
        return f"rate={self.rate:g}"
