"""Mixup and CutMix: images and targets of a batch are mixed in pairs, each with the next.

Source: mixup: Beyond Empirical Risk Minimization (2018), equation 2; CutMix (2019), algorithm 1,
with the label's weight counted from the pixels that were pasted.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

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
        mix = _mix(self, classes)
        if mix is None or torch.rand(()).item() >= self.probability:
            return replace(batch, targets=F.one_hot(batch.targets, classes).float())
        images, targets = mix(batch.images, batch.targets)
        return replace(batch, images=images, targets=targets)


@lru_cache(maxsize=4)
def _mix(spec: Mixing, classes: int) -> nn.Module | None:
    mixup = v2.MixUp(alpha=float(spec.mixup), num_classes=classes) if spec.mixup else None
    cutmix = v2.CutMix(alpha=float(spec.cutmix), num_classes=classes) if spec.cutmix else None
    if mixup and cutmix:
        return v2.RandomChoice([mixup, cutmix], p=[1 - spec.switch, spec.switch])
    return mixup or cutmix
