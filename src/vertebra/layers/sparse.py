"""A sparse matrix times a dense one, whose rows are summed with weights in one walk.

torch's sum of embeddings does that with a kernel of its own for each number of columns (FBGEMM); it
asks for nothing but where the rows are.
"""

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix: TypeAlias = NDArray[np.floating[Any]]

Sparse: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""For each number that is not zero its column [terms], where each row begins [rows + 1], and the
numbers [terms]."""


def is_fast() -> bool:
    """Says whether this build of torch has that kernel, and this CPU can run it."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def spread(matrix: Matrix, columns: NDArray[Any], inner: NDArray[Any], like: Tensor) -> Sparse:
    """Returns a matrix each of whose rows stands there once for each of `inner`.

    columns: where the matrix' columns lie among the new ones; inner: how much farther on they lie.
    """
    places, values, counts = [], [], []
    for row in matrix:
        (terms,) = np.nonzero(row)
        places.append((inner[:, None] + columns[terms]).ravel())
        values.append(np.tile(row[terms], len(inner)))
        counts.append(np.full(len(inner), len(terms)))
    begins = np.cumsum(np.concatenate([[0], *counts]))
    return (
        torch.from_numpy(np.concatenate(places)).int(),
        torch.from_numpy(begins).int(),
        torch.from_numpy(np.concatenate(values)).to(like),
    )


def repeat(part: Sparse, times: int, step: int) -> Sparse:
    """Returns a matrix below another, each with its numbers so many columns farther on."""
    columns, begins, values = part
    each = torch.arange(times, dtype=torch.int32)[:, None]
    starts = (begins[:-1] + len(columns) * each).flatten()
    return (
        (columns + step * each).flatten(),
        torch.cat([starts, starts.new_tensor([times * len(columns)])]),
        values.repeat(times),
    )


def multiply_twice(
    first: tuple[Tensor, Tensor, Tensor],
    second: tuple[Tensor, Tensor, Tensor],
    rows: Tensor,
    channels: int,
    share: tuple[int, int],
) -> Tensor:
    """Returns the product of two matrices, the second one's rows of so many channels."""
    return multiply(second, multiply(first, rows, share).view(-1, channels), share)


def multiply(matrix: tuple[Tensor, Tensor, Tensor], rows: Tensor, share: tuple[int, int]) -> Tensor:
    """Returns the product of the first rows of a matrix, a share (some, of all) of its equal parts.

    rows: [columns of the matrix, C] -> [rows of the matrix * some / all, C].
    """
    columns, begins, values = matrix
    some, whole = share
    terms, count = len(columns) * some // whole, (len(begins) - 1) * some // whole
    columns, begins, values = columns[:terms], begins[: count + 1], values[:terms]
    return torch.embedding_bag(rows, columns, begins, False, 0, False, values, True)[0]
