"""Mixup and CutMix: images and targets of a batch are mixed in pairs, each with the next.

Source: mixup: Beyond Empirical Risk Minimization (2018), equation 2; CutMix (2019), algorithm 1,
with the label's weight counted from the pixels that were pasted. The order of the draws is
torchvision's, which takes five seconds to be imported.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional as F

from vertebra.contracts import Batch
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Mixes a batch, with `probability`, by one weight for all of it.

    mixup, cutmix: the Beta distribution's parameter of each; 0 turns it off.
    switch:        how often it is CutMix where both are on.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    switch: float = 0.5

    def __post_init__(self) -> None:
        if self.mixup < 0 or self.cutmix < 0:
            raise RecipeError(f"mixup={self.mixup} and cutmix={self.cutmix}; give zero or more")
        if not 0 <= self.probability <= 1 or not 0 <= self.switch <= 1:
            raise RecipeError(
                f"probability={self.probability} and switch={self.switch}; give shares from 0 to 1"
            )

    def sample(self, batch: Batch, classes: int) -> Batch:
        """Returns the batch, mixed or not, with soft targets [N, K] float32 in either case.

        images: [N, C, H, W] float; targets: [N] int64.
        """
        targets = F.one_hot(batch.targets, classes).float()
        if not (self.mixup or self.cutmix) or torch.rand(()).item() >= self.probability:
            return replace(batch, targets=targets)
        images, own = self._paste(batch.images) if self._cuts() else self._blend(batch.images)
        return replace(batch, images=images, targets=_blended(targets, own))

    def _cuts(self) -> bool:
        if self.mixup and self.cutmix:
            return bool(torch.multinomial(torch.tensor([1 - self.switch, self.switch]), 1).item())
        return bool(self.cutmix)

    def _blend(self, images: Tensor) -> tuple[Tensor, float]:
        """Returns the images, mixed up, and the weight of each in its own."""
        own = _drawn(self.mixup)
        return _blended(images, own), own

    def _paste(self, images: Tensor) -> tuple[Tensor, float]:
        """Returns the images with a box of the one before, and the share that is their own."""
        side = 0.5 * math.sqrt(1 - _drawn(self.cutmix))
        height, width = images.shape[-2:]
        across, down = (int(torch.randint(end, (1,)).item()) for end in (width, height))
        columns, rows = _around(across, side, width), _around(down, side, height)
        mixed = images.clone()
        mixed[..., rows, columns] = images.roll(1, 0)[..., rows, columns]
        pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
        return mixed, 1 - pasted / (width * height)


def _drawn(alpha: float) -> float:
    both = torch.tensor([alpha], dtype=torch.float32)
    return float(Beta(both, both).sample().item())


def _around(centre: int, share: float, end: int) -> slice:
    """Returns a share of a side to either side of its centre, within the image."""
    half = int(share * end)
    return slice(max(0, centre - half), min(end, centre + half))


def _blended(values: Tensor, own: float) -> Tensor:
    """values: [N, ...], each with its weight, and the one before with the rest."""
    return values.roll(1, 0).mul_(1 - own).add_(values * own)
