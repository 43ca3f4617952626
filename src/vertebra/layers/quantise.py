"""Quantisers with fixed levels: of filters, of activations, and of a classifier's rows.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors; DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth
Gradients (2016), section 2.3, where they come from.
Differs: the mean magnitude that scales the levels passes no gradient.

What is rounded has the gradient of what is not. Filters are clamped where they are rounded, so that
the gradient reaches those beyond the outermost level too; activations are clamped before, so that
none reaches those outside [0, 1].
"""

import torch
from torch import Tensor, nn

from vertebra.errors import RecipeError


def straight_through(rounded: Tensor, x: Tensor) -> Tensor:
    """Returns the values of `rounded`, to the bit, with the gradient of `x`."""
    return rounded.detach() + (x - x.detach())


def require_bits(bits: int) -> None:
    """Refuses a number of bits that no quantiser here has.

    Raises:
        RecipeError: it is not 2 to 8.
    """
    if not 2 <= bits <= 8:
        raise RecipeError(f"bits={bits}; give 2 to 8, or None for floating point")


def _to_levels(shares: Tensor, bits: int) -> Tensor:
    """shares: any, taken to [-1/2, 1/2] -> the nearest of 2^b even steps from -1/2 to 1/2."""
    steps = 2**bits - 1
    return ((shares.clamp(-0.5, 0.5) + 0.5) * steps).round() / steps - 0.5


class FilterLevels(nn.Module):
    """Filters w -> 2^b levels, even and symmetric, from -s/2 to s/2 with s = 2 mean |tanh w|.

    There is no level at zero: at 2 bits they are s times -1/2, -1/6, 1/6 and 1/2.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        require_bits(bits)
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        """weight: any shape -> the same shape; one scale for all of it."""
        bounded = weight.tanh()
        scale = 2 * bounded.detach().abs().mean()
        shares = bounded.detach() / scale.clamp(min=torch.finfo(scale.dtype).tiny)
        return straight_through(_to_levels(shares, self.bits) * scale, bounded)


class RowLevels(nn.Module):
    """Rows of a classifier w -> 2^b levels from the largest |tanh w| of each down to its negative.

    Each row is centred first, so that the sum of the features tells nothing.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        require_bits(bits)
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        """weight: [K, D] -> [K, D]."""
        bounded = weight.tanh()
        centred = bounded - bounded.mean(1, keepdim=True)
        largest = centred.detach().abs().amax(1, keepdim=True)
        scale = 2 * largest.clamp(min=torch.finfo(largest.dtype).tiny)
        return straight_through(_to_levels(centred.detach() / scale, self.bits) * scale, centred)


class ActivationLevels(nn.Module):
    """x -> 0.1 x, clamped to [0, 1] and rounded to 2^b - 1 even steps; a ReLU comes for free.

    Nothing makes up for the factor: the norm behind the next convolution absorbs it.
    """

    factor = 0.1

    def __init__(self, bits: int) -> None:
        super().__init__()
        require_bits(bits)
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape -> the same shape, in [0, 1]."""
        steps = 2**self.bits - 1
        clamped = (self.factor * x).clamp(0, 1)
        return straight_through((clamped.detach() * steps).round() / steps, clamped)
