"""A quantiser whose step is learnt.

Source: Learned Step Size Quantization (2019), equations 1 to 3 and section 2.2 (the gradient's
scale).
Differs: what learns is the logarithm of the step. An optimizer like Adam moves every parameter by
the same amount, which would be a large share of a small step, and none becomes negative. Where
filters start, zeros do not count, since a 3x3 made of a 1x1 is full of them, and the largest weight
stays within reach. Where activations start is computed from the norm in front of them, and not
taken from a first batch.
"""

import math

import torch
from torch import Tensor, nn

from vertebra.layers.quantise import require_bits, straight_through
from vertebra.layers.rectified import Spread

SMALLEST = 1e-8
"""No step starts below it."""


class LearnedStep(nn.Module):
    """x -> the nearest multiple of a step, of so many levels as b bits name.

    signed: multiples from -2^(b-1) to 2^(b-1) - 1; else from 0 to 2^b - 1.
    """

    def __init__(self, bits: int, *, signed: bool) -> None:
        super().__init__()
        require_bits(bits)
        self.lowest = -(2 ** (bits - 1)) if signed else 0
        self.highest = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        self.log_step = nn.Parameter(torch.zeros(()))

    @property
    def step(self) -> Tensor:
        """The step, a scalar above 0."""
        return self.log_step.exp()

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape -> the same shape.

        In the range, the gradient of the step is round(x / step) - x / step, beyond it the last
        multiple, each over the root of (numbers in x times the highest multiple); that of x is 1 in
        the range and 0 beyond.
        """
        scale = 1 / math.sqrt(x.numel() * self.highest)
        step = straight_through(self.step, self.step * scale)
        multiples = (x / step).clamp(self.lowest, self.highest)
        return straight_through(multiples.round(), multiples) * step

    @torch.no_grad()
    def start_for(self, weight: Tensor) -> None:
        """Sets the step to suit filters."""
        size = weight.abs()
        mean = size.sum() / (size > 0).sum().clamp(min=1)
        wanted = 2 * mean / math.sqrt(self.highest)
        self._start(torch.minimum(wanted, size.max() / self.highest))

    @torch.no_grad()
    def start_behind(self, norm: nn.Module) -> None:
        """Sets the step to suit what a batch norm puts out, taken for normal in each channel."""
        spread = Spread.behind(norm)
        positive = spread.rectified().mean
        size = 2 * positive - spread.mean if self.lowest else positive
        self._start(2 * size.mean() / math.sqrt(self.highest))

    def _start(self, step: Tensor) -> None:
        self.log_step.copy_(step.clamp(min=SMALLEST).log())
