"""Sparse matrices that are made of smaller ones, against numpy."""

import numpy as np
import pytest
import torch

from vertebra.layers.sparse import Matrix, multiply, repeat, spread

MATRIX = np.array([[0.0, 2, -1], [3, 0, 0], [0, 0, 0], [1, 1, 1]])


def dense(matrix: Matrix, rows: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(matrix) @ rows


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_each_row_stands_there_for_each_place():
    rows = draw(8, 5)
    made = spread(MATRIX, np.array([0, 2, 5]), np.array([0, 2]), rows)
    wide = np.zeros((4, 2, 8))
    wide[:, 0, [0, 2, 5]] = MATRIX
    wide[:, 1, [2, 4, 7]] = MATRIX
    wanted = dense(wide.reshape(8, 8), rows)
    torch.testing.assert_close(multiply(made, rows, (1, 1)), wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("some", [1, 2, 3])
def test_the_first_of_repeated_parts_are_multiplied(some: int):
    rows = draw(9, 5)
    part = spread(MATRIX, np.arange(3), np.zeros(1, int), rows)
    wanted = dense(np.kron(np.eye(3), MATRIX), rows)
    found = multiply(repeat(part, 3, 3), rows, (some, 3))
    torch.testing.assert_close(found, wanted[: 4 * some], rtol=0, atol=1e-14)
