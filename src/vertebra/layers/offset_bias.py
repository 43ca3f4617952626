"""An attention bias that depends on how far a query and a key stand apart on a grid.

Source: LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference (2021), equation 1.
Differs: any grid will do. A smaller one than the table's uses the nearest offsets; on a larger one,
what is farther apart than the table knows counts as the farthest that it knows, on each axis.

Along one axis, the biases of all queries are windows of one row of the table with its mirror image
before it; the first query has the last window. With 3 keys, and a query at each of them:

    offset     2  1  0  1  2
    query 0         [0  1  2]
    query 1      [1  0  1]
    query 2   [2  1  0]
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

    def forward(self, height: int, width: int) -> Tensor:
        """Returns the biases [heads, Q, height * width] of that grid of keys."""
        table = self.table.unflatten(1, (self.side, self.side))
        table = self._mirrored(self._mirrored(table, height, dim=1), width, dim=2)
        windows = table.unfold(1, height, self.stride).unfold(2, width, self.stride)
        return windows.flip(1, 2).flatten(3).flatten(1, 2)

    def _mirrored(self, table: Tensor, size: int, *, dim: int) -> Tensor:
        """Returns the entries of offsets `reach`, ..., 1, 0, 1, ..., `size` - 1 along `dim`."""
        reach = (size - 1) // self.stride * self.stride  # from the first key to the last query
        known = table.narrow(dim, 0, min(size, self.side))
        if size > self.side:
            farthest = table.narrow(dim, self.side - 1, 1)
            beyond = farthest.repeat_interleave(size - self.side, dim)
            known = torch.cat((known, beyond), dim)
        return torch.cat((known.narrow(dim, 1, reach).flip(dim), known), dim)

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
