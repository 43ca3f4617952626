"""How a map is cut into tiles, and what Winograd's convolution transforms them with.

Source: Fast Algorithms for Convolutional Neural Networks (2015), section 4.
Differs: other points of evaluation, which round less.

Answers and kernel are polynomials evaluated at points, of infinity the highest coefficient; pixels,
by the transpose of a product of polynomials, are interpolated. Every transform goes down the map
first and then across, by a sparse matrix each time:

    pixels  [N, H, W, C]           -> [N, down, side, W, C]   -> [N, down, across, points, C]
    answers [N, H', W', K]         <- [N, H', across, side, K] <- [points, N, down, across, K]

points: side * side of them; those of a row lie farther apart than those of a column.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray
from torch import Tensor

from vertebra.layers.sparse import Matrix, Sparse, repeat, spread

_POINTS: Mapping[int, tuple[float, ...]] = {
    4: (0, 1, -1, 1 / 2, -2),
    5: (0, 1, 2, 1 / 2, -2 / 3, -4 / 3),
}
"""Positions that a tile gives in a row -> where polynomials are evaluated, besides infinity."""

Pair: TypeAlias = tuple[Sparse, Sparse]
"""What is applied first, and to what that gives."""


class Tiling(NamedTuple):
    """A map in tiles.

    step:    rows and columns of answers that a tile gives, 4 or 5; it reads two more.
    pixels:  rows and columns of the map.
    padding: rows and columns of zeros at each border.
    """

    step: int
    pixels: tuple[int, int]
    padding: tuple[int, int]

    @classmethod
    def of(cls, pixels: tuple[int, int], padding: tuple[int, int]) -> "Tiling":
        """Returns the one that has the fewest numbers to multiply; the smaller step rounds less."""
        found = [cls(step, pixels, padding) for step in _POINTS]
        return min(found, key=lambda each: each.share)

    @property
    def side(self) -> int:
        """Points of a row or column of a tile."""
        return self.step + 2

    @property
    def answers(self) -> tuple[int, int]:
        """Rows and columns of the answers."""
        (height, width), (top, left) = self.pixels, self.padding
        return height + 2 * top - 2, width + 2 * left - 2

    @property
    def tiles(self) -> tuple[int, int]:
        """Tiles down and across; the last ones may stand out."""
        rows, columns = self.answers
        return -(-rows // self.step), -(-columns // self.step)

    @property
    def in_all(self) -> int:
        """Tiles of a map."""
        down, across = self.tiles
        return down * across

    @property
    def share(self) -> float:
        """Products, in those of the usual way."""
        rows, columns = self.answers
        return self.in_all * self.side**2 / (9 * rows * columns)

    def from_pixels(self, images: int, like: Tensor) -> Pair:
        """Returns what gives the points of tiles for pixels, of so many images."""
        down, across = (self._interpolated(axis) for axis in (0, 1))
        return self._to_points(down, across, images, like)

    def to_answers(self, images: int, groups: int, like: Tensor) -> Pair:
        """Returns what gives answers for points; each point has its groups beside each other."""
        down, across = (self._evaluated(axis) for axis in (0, 1))
        return self._from_points(down, across, images, groups, like)

    def from_answers(self, images: int, like: Tensor) -> Pair:
        """Returns the transpose of `to_answers`, which gives gradients at points."""
        down, across = (self._evaluated(axis).T for axis in (0, 1))
        return self._to_points(down, across, images, like)

    def to_pixels(self, images: int, groups: int, like: Tensor) -> Pair:
        """Returns the transpose of `from_pixels`, which gives gradients of pixels."""
        down, across = (self._interpolated(axis).T for axis in (0, 1))
        return self._from_points(down, across, images, groups, like)

    def _to_points(self, down: Matrix, across: Matrix, images: int, like: Tensor) -> Pair:
        """down: [tiles * side, rows], across: [tiles * side, columns]."""
        rows, columns = down.shape[1], across.shape[1]
        of_rows = spread(down, np.arange(rows), np.zeros(1, int), like)
        of_columns = spread(across, np.arange(columns), columns * np.arange(self.side), like)
        return (
            repeat(of_rows, images, rows),
            repeat(of_columns, images * self.tiles[0], self.side * columns),
        )

    def _from_points(
        self, down: Matrix, across: Matrix, images: int, groups: int, like: Tensor
    ) -> Pair:
        """down: [rows, tiles * side], across: [columns, tiles * side]."""
        tiles, lines = self.tiles, self.tiles[1] * self.side * groups
        apart = images * self.in_all * groups  # from one point to the next
        tile_down, row_of_points = np.divmod(np.arange(down.shape[1]), self.side)
        tile, column_of_points, group = np.indices((tiles[1], self.side, groups)).reshape(3, -1)
        of_rows = spread(
            down,
            row_of_points * apart + tile_down * tiles[1],
            column_of_points * self.side * apart + group * images * self.in_all + tile,
            like,
        )
        of_columns = spread(across, groups * np.arange(across.shape[1]), np.arange(groups), like)
        return repeat(of_rows, images, self.in_all), repeat(of_columns, images * len(down), lines)

    def _interpolated(self, axis: int) -> Matrix:
        """Returns what gives points for the pixels of a column or a row: [tiles * side, pixels]."""
        pixels = _matrices(self.step).pixels
        placed = np.zeros((self.tiles[axis] * self.side, self.pixels[axis]))
        for tile, point, at in np.ndindex(self.tiles[axis], self.side, self.side):
            pixel = tile * self.step + at - self.padding[axis]
            if 0 <= pixel < self.pixels[axis]:
                placed[tile * self.side + point, pixel] = pixels[point, at]
        return placed

    def _evaluated(self, axis: int) -> Matrix:
        """Returns what gives answers of a column or a row for points: [answers, tiles * side]."""
        whole = np.kron(np.eye(self.tiles[axis]), _matrices(self.step).answers)
        return whole[: self.answers[axis]]


def of_kernel(step: int) -> Matrix:
    """Returns what gives points for the three numbers of a kernel: [side, 3]."""
    return _matrices(step).kernel


class _Matrices(NamedTuple):
    """answers: [step, side], kernel: [side, 3], pixels: [side, side]."""

    answers: Matrix
    kernel: Matrix
    pixels: Matrix


def _matrices(step: int) -> _Matrices:
    points = np.array(_POINTS[step])
    others = [np.delete(points, place) for place in range(len(points))]
    scales = np.array([np.prod(point - rest) for point, rest in zip(points, others, strict=True)])
    kernel = polynomial.polyvander(points, 2) / scales[:, None]
    pixels: list[NDArray[Any]] = [np.append(polynomial.polyfromroots(rest), 0) for rest in others]
    return _Matrices(
        np.column_stack([polynomial.polyvander(points, step - 1).T, np.eye(step)[-1]]),
        np.vstack([kernel, [0, 0, 1]]),
        np.vstack([*pixels, polynomial.polyfromroots(points)]),
    )
