"""The two heads of a network that learns from labels and from a teacher at once.

Source: LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference (2021), section 4.2;
Training data-efficient image transformers & distillation through attention (2021), section 4.
"""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vertebra.contracts import Foldable
from vertebra.layers.norm_head import NormHead


class TwoLogits(NamedTuple):
    """What each head says, [N, K]: `label` learns from labels, `teacher` from a teacher."""

    label: Tensor
    teacher: Tensor


class LeViTHead(Foldable):
    """Vector [N, width] -> the mean [N, classes] of the logits of two heads.

    Raises:
        RecipeError: `classes` is not positive, or `dropout` is not in [0, 1).
    """

    def __init__(self, width: int, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.label: nn.Module = NormHead(width, classes, dropout=dropout)
        self.teacher: nn.Module = NormHead(width, classes, dropout=dropout)

    def forward(self, vector: Tensor) -> Tensor:
        """vector: [N, width] -> logits [N, classes], in training and evaluation alike."""
        label, teacher = self.both(vector)
        return (label + teacher) / 2

    def both(self, vector: Tensor) -> TwoLogits:
        """vector: [N, width] -> the logits of each head, for distillation."""
        return TwoLogits(self.label(vector), self.teacher(vector))

    def folded(self) -> nn.Module:
        """Returns one linear map, since the mean of two is one; it has no `both`.

        Of heads that do not fold, itself.
        """
        label, teacher = (
            part.folded() if isinstance(part, NormHead) else part
            for part in (self.label, self.teacher)
        )
        if not isinstance(label, nn.Linear) or not isinstance(teacher, nn.Linear):
            return self
        mean = deepcopy(label)
        with torch.no_grad():
            mean.weight.lerp_(teacher.weight, 0.5)
            mean.bias.lerp_(teacher.bias, 0.5)
        return mean
