"""An attention bias that depends on how far a query and a key stand apart on a grid.

Source: LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference (2021), equation 1.
Differs: any grid will do. A smaller one than the table's uses the nearest offsets; on a larger one,
what is farther apart than the table knows counts as the farthest that it knows, on each axis.
"""

import torch
from torch import Tensor, nn

from vertebra.contracts import Foldable, Undecayed


class OffsetBias(Undecayed, Foldable):
    """One bias for each head and each pair of offsets |dy|, |dx|; they start at zero.

    A grid of keys of `height` x `width` gives [heads, Q, height * width], with a query at each
    `stride`-th row and column: Q = ceil(height / stride) * ceil(width / stride).

    side: the table has the offsets of a square grid of this side.
    """

    def __init__(self, heads: int, side: int, *, stride: int = 1) -> None:
        super().__init__()
        self.side = side
        self.stride = stride
        self.table = nn.Parameter(torch.zeros(heads, side * side))
        self.places: Tensor
        places = self._places(side, side).to(self.table.device)
        self.register_buffer("places", places, persistent=False)

    def forward(self, height: int, width: int) -> Tensor:
        """Returns the biases [heads, Q, height * width] of that grid of keys."""
        own = height == width == self.side
        places = self.places if own else self._places(height, width).to(self.table.device)
        return self.table.index_select(1, places).view(len(self.table), -1, height * width)

    def _places(self, height: int, width: int) -> Tensor:
        """Returns where in a row of the table each query finds its biases, [Q * height * width]."""
        down, across = self._offsets(height), self._offsets(width)
        places = down[:, None, :, None] * self.side + across[None, :, None, :]  # [Qh, Qw, h, w]
        return places.flatten()

    def _offsets(self, size: int) -> Tensor:
        """Returns how far queries and keys are apart on an axis, [ceil(size / stride), size]."""
        keys = torch.arange(size, dtype=torch.int32, device="cpu")  # whole numbers are few
        return (keys[:: self.stride, None] - keys).abs().clamp(max=self.side - 1)

    def folded(self) -> nn.Module:
        """Returns the same with the biases of a square grid of `side` laid out beforehand."""
        return LaidOutBias(self)


class LaidOutBias(nn.Module):
    """The biases of a table's own grid, kept as attention needs them; another grid's are found."""

    def __init__(self, bias: OffsetBias) -> None:
        super().__init__()
        self.bias = bias
        self.laid_out: Tensor
        self.register_buffer("laid_out", bias(bias.side, bias.side).detach())

    def forward(self, height: int, width: int) -> Tensor:
        """Returns the biases [heads, Q, height * width] of that grid of keys."""
        if height == width == self.bias.side:
            return self.laid_out
        return self.bias(height, width)
