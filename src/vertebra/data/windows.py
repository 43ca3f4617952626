"""Parts of many pictures brought to one size at once: each result is two small matrices around it.

    result [S, S]  =  rows [S, H]  @  picture [H, W]  @  columns [S, W]^T

A matrix holds the filter of one side, which is Pillow's and torch's (`antialias=True`): wider where
the picture shrinks, cut off where the picture ends, its weights summing to one. A mirror image has
the rows of `columns` in the opposite order; a picture that is moved has rows of zeros.

Source: Cubic Convolution Interpolation for Digital Image Processing (1981), equation 15, a = -0.5.
Differs: nothing is rounded to bytes on the way; from what is computed on bytes results differ by up
to 2 of 255.
"""

import math
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vertebra.data.resize import Interpolation
from vertebra.data.sending import sent

REACH: dict[Interpolation, int] = {"bilinear": 1, "bicubic": 2}
"""The filters there are, and how far each reaches to either side, in pixels of the picture or,
where that shrinks, of the result."""

Numbers = NDArray[np.float64]


class Windows(NamedTuple):
    """What is seen of both sides of N pictures, each [2, N] float64, down and across, in pixels.

    start, stop: the stretch of the picture that becomes the S pixels of the result.
    first, last: pixels before and after which there are none for the filter.
    shift:       so many pixels further along that stretch the result begins; what lies outside the
                 stretch is black.
    """

    start: Numbers
    stop: Numbers
    first: Numbers
    last: Numbers
    shift: Numbers

    @classmethod
    def cut(cls, start: Numbers, stop: Numbers) -> Self:
        """Returns boxes that are cut out before they are resized."""
        return cls(start, stop, start, stop, np.zeros_like(start))

    @classmethod
    def alike(
        cls, box: tuple[float, float, float, float], sides: tuple[int, int], *, shift: Numbers
    ) -> Self:
        """Returns the same box (left, top, right, bottom) of pictures with these sides, height and
        width, for each of `shift` [2, N]."""
        left, top, right, bottom = box
        ends = ((top, left), (bottom, right), (0, 0), sides)
        start, stop, first, last = (np.zeros_like(shift) + np.array(end)[:, None] for end in ends)
        return cls(start, stop, first, last, shift)


def matrices(
    windows: Windows,
    mirrored: NDArray[np.bool_],
    *,
    sides: tuple[int, int],
    size: int,
    interpolation: Interpolation,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Returns rows [N, size, H] and columns [N, size, W] float32, the filters of pictures with
    these sides, height and width; `mirrored` [N] are mirrored."""
    packed = sent(torch.from_numpy(np.stack(windows).astype(np.float32)), device)
    start, stop, first, last, shift = packed[..., None].unbind()  # each [2, N, 1]
    # both sides at once: the operations are many and small
    places = torch.arange(size, device=device, dtype=torch.float32).repeat(*start.shape[:2], 1)
    is_mirrored = sent(torch.from_numpy(mirrored), device)[:, None]
    places[1] = torch.where(is_mirrored, places[1].flip(1), places[1])
    places = places + shift  # [2, N, S]
    is_bare = (places < 0) | (places >= size)
    scale = (stop - start) / size
    stretch, reach, longest = scale.clamp(min=1), REACH[interpolation], max(sides)
    centre = start + (places.clamp(0, size - 1) + 0.5) * scale
    # only the pixels within reach; a stretch can be as long as the whole side
    count = math.ceil(2 * reach * max(1, longest / size)) + 1
    lowest = (centre - reach * stretch).floor()
    pixels = lowest[..., None] + torch.arange(count, device=device)  # [2, N, S, count]
    weights = _filter((pixels + 0.5 - centre[..., None]) / stretch[..., None], interpolation)
    weights *= (pixels >= first[..., None]) & (pixels < last[..., None])
    weights /= weights.sum(-1, keepdim=True)
    weights *= ~is_bare[..., None]
    filters = torch.zeros(*places.shape, longest, device=device)
    # added: pixels off either end, whose weight is zero, share a place with others
    filters.scatter_add_(-1, pixels.long().clamp_(0, longest - 1), weights)
    height, width = sides
    return filters[0, ..., :height], filters[1, ..., :width]


def _filter(x: Tensor, interpolation: Interpolation) -> Tensor:
    """Returns the filter's value at distances from its centre."""
    x = x.abs()
    if interpolation == "bilinear":
        return (1 - x).clamp_(min=0)
    x = x.clamp_(max=2)  # both forms are zero there
    return torch.where(x < 1, (1.5 * x - 1) * x - 1, -0.5 * (x - 2).square()).mul_(x - 1)


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """images: [N, H, C, W] uint8, rows: [N, S, H], columns: [N, S, W] -> [N, C, S, S] float32,
    from 0 to 255."""
    count, height, channels, _ = images.shape
    size = rows.shape[1]
    # channels stand between the sides, so that both products are plain ones of whole batches
    across = images.float().flatten(1, 2) @ columns.mT  # [N, H * C, S]
    # weights of bicubic are partly negative; on bytes, too, each of the two steps is limited
    across = across.clamp_(0, 255).view(count, height, channels * size)
    both = (rows @ across).clamp_(0, 255)  # [N, S, C * S]
    return both.view(count, size, channels, size).permute(0, 2, 1, 3)  # [N, C, S, S]
