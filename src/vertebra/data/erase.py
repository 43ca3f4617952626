"""Random erasing: a rectangle of a normalised image is covered.

Source: Random Erasing Data Augmentation (2017), algorithm 1.
Differs: after ten rectangles that stick out an image is left alone, as torchvision does it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vertebra.data.rectangles import DRAWS, Range, rectangles
from vertebra.data.sending import sent
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Erase:
    """With `probability`, covers a rectangle of each image.

    area:   its share of the image, drawn evenly from this range.
    aspect: its height by its width, drawn evenly in the logarithm.
    mode:   "constant" covers with 0, the mean of normalised images; "pixel" with standard normal
            noise.
    """

    probability: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    aspect: tuple[float, float] = (0.3, 1 / 0.3)
    mode: Literal["constant", "pixel"] = "pixel"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise RecipeError(f"probability={self.probability}; give a share from 0 to 1")
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise RecipeError(f"area={self.area}; give a smallest and a largest share in (0, 1]")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise RecipeError(f"aspect={self.aspect}; give a smallest and a largest ratio above 0")
        if self.mode not in ("constant", "pixel"):
            raise RecipeError(f"mode={self.mode!r}; choose constant or pixel")

    def sample(self, images: Tensor) -> Tensor:
        """images: [N, C, H, W] normalised -> the same shape and layout, each image with its own
        draw: rectangles from the CPU's generator, noise from that of the device."""
        count, _, height, width = images.shape
        draws = torch.rand(count, DRAWS + 1, dtype=torch.float64).numpy()
        drawn = rectangles(
            draws[:, 1:],
            (height, width),
            share=self.area,
            ratio=(1 / self.aspect[1], 1 / self.aspect[0]),  # there it is width by height
            tall=Range(0, height - 1),
            wide=Range(0, width - 1),
        )
        chosen = np.flatnonzero(drawn.found & (draws[:, 0] < self.probability))
        sides = np.stack((drawn.top, drawn.tall, drawn.left, drawn.wide))[:, chosen]
        top, tall, left, wide = sent(torch.from_numpy(sides), images.device)[
            ..., None
        ]  # each [n, 1]
        rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
        down = (rows >= top) & (rows < top + tall)  # [n, H]
        across = (columns >= left) & (columns < left + wide)  # [n, W]
        places = sent(torch.from_numpy(chosen), images.device)
        before = images[places]
        # not randn_like: in this layout it takes ten times as long
        make = torch.zeros if self.mode == "constant" else torch.randn
        cover = make(before.shape, device=images.device, dtype=images.dtype)
        covered = torch.where(down[:, None, :, None] & across[:, None, None], cover, before)
        return images.clone().index_copy_(0, places, covered)  # clone keeps the layout
