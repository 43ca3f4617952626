"""The multi-label logistic loss: one sigmoid a class, for labels that are incomplete or uncertain.

Source: Revisiting Unreasonable Effectiveness of Data in Deep Learning Era (2017);
Tencent ML-Images: A Large-Scale Multi-Label Image Database for Visual Representation Learning
(2019), for the weight of positives and the entries that are left out.
Differs: classes are not balanced within a batch, as the second does. Smoothing is that of the other
losses, epsilon / K on every class.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Logistic:
    """-w t log(p) - (1 - t) log(1 - p) for p = sigmoid(logit), summed over classes and averaged
    over images.

    positive_weight: w, above 0; more than 1 counts what is there over what is not, where labels are
                     often missing: ML-Images takes 12.
    smoothing:       share of a target spread evenly over all classes, in [0, 1).

    A target below 0 is unknown and costs nothing: an entry of [N, K], or all classes of an image
    whose class number it is. With logits near 0 the loss is K log 2; `head_bias` of the recipe lets
    it start near log K instead.
    """

    positive_weight: float = 1.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.positive_weight < float("inf"):
            raise RecipeError(
                f"positive_weight={self.positive_weight}; give a number above 0, 1 for none"
            )
        if not 0 <= self.smoothing < 1:
            raise RecipeError(f"smoothing={self.smoothing}; give a share in [0, 1), usually 0.1")

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """logits: [N, K]; targets: [N], or soft or several at once [N, K] -> a scalar, in fp32 or
        in fp64 where the logits are."""
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        classes = logits.shape[1]
        known = targets >= 0
        goal = targets.clamp(min=0)
        if targets.ndim == 1:
            known, goal = known[:, None], F.one_hot(goal, classes)
        soft = goal.to(wide.dtype) * (1 - self.smoothing) + self.smoothing / classes
        each = -self.positive_weight * soft * F.logsigmoid(wide)
        each = each - (1 - soft) * F.logsigmoid(-wide)
        return (each * known).sum() / len(logits)
