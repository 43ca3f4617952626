"""Weighted nearest neighbours: an image is of the class that the training images near it have.

Source: Unsupervised Feature Learning via Non-Parametric Instance Discrimination (2018), section
3.4.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vertebra.errors import RecipeError
from vertebra.tasks.features import Features

AT_ONCE = 1024
"""So many images are compared with all training images at once."""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Each of the `count` nearest by cosine s votes for its class with weight exp(s / T)."""

    count: int = 20
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.count < 1:
            raise RecipeError(f"neighbours={self.count}; give at least 1, usually 20")
        if not self.temperature > 0:
            raise RecipeError(f"temperature={self.temperature}; give a number above 0, as 0.07")

    def votes(self, vectors: Tensor, known: Features, *, classes: int) -> Tensor:
        """vectors: [N, D] -> the share of the votes of each class, [N, K] fp32; rows sum to 1.

        Of fewer known images than `count` all vote. The length of a vector counts for nothing.
        """
        bank = F.normalize(known.vectors.float())
        count = min(self.count, len(bank))
        found: list[Tensor] = []
        for part in vectors.float().split(AT_ONCE):
            near = (F.normalize(part) @ bank.T).topk(count, dim=1)  # [n, count]
            # a softmax is exp(s / T) made to sum to one, and cannot overflow
            weights = (near.values / self.temperature).softmax(1)
            votes = torch.zeros(len(part), classes)
            found.append(votes.scatter_add_(1, known.targets[near.indices], weights))
        return torch.cat(found)
