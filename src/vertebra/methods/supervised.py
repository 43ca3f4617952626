"""Supervised classification: logits against class targets, hard or soft.

Source: Bag of Tricks for Image Classification (2019), section 5.2 (label smoothing); ResNet strikes
back (2021), section 2.2 (binary cross-entropy); Softmax Gradient Tampering (2021), later Altering
Backward Pass Gradients Improves Convergence (2021), for `tampering`.
Differs: smoothing is written with epsilon / K on every class, the form of torch; epsilon / (K - 1)
on the wrong classes is the same with epsilon * (K - 1) / K. The tampered gradient is that of a loss
and not of a hook, so it holds for soft targets, any batch and any scale of the loss.

Losses are computed in fp32, or in fp64 where the logits are.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.methods.learning import LearningSpec
from vertebra.methods.logistic import Logistic


def _check_smoothing(smoothing: float) -> None:
    if not 0 <= smoothing < 1:
        raise RecipeError(f"smoothing={smoothing}; give a share in [0, 1), usually 0.1")


def widened(logits: Tensor) -> Tensor:
    """Returns the logits in the precision of losses: fp32, or fp64 where they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Softmax cross-entropy.

    smoothing: share of the target spread evenly over all classes, in [0, 1).
    tampering: a in (0, 1]: the gradient is softmax(a z) - q in place of softmax(z) - q, for logits
               z and target q, while the loss stays what it is; 1 is none. At 0 the gradient would
               be 1 / K - q wherever the logits are, so that they would grow for ever.
    """

    smoothing: float = 0.0
    tampering: float = 1.0

    def __post_init__(self) -> None:
        _check_smoothing(self.smoothing)
        if not 0 < self.tampering <= 1:
            raise RecipeError(
                f"tampering={self.tampering}; give a power above 0, often 0.3, or 1 for none"
            )

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """logits: [N, K]; targets: [N] or soft [N, K] -> mean over N, a scalar."""
        wide = widened(logits)
        if self.tampering == 1:
            return self._plain(wide, targets)
        # p ** a, made to sum to one, is softmax(a z), and this has the gradient softmax(a z) - q
        tampered = self._plain(wide * self.tampering, targets) / self.tampering
        return self._plain(wide.detach(), targets) + (tampered - tampered.detach())

    def _plain(self, logits: Tensor, targets: Tensor) -> Tensor:
        goal = targets.to(logits.dtype) if targets.is_floating_point() else targets
        return F.cross_entropy(logits, goal, label_smoothing=self.smoothing)


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy:
    """One sigmoid a class, summed over classes and averaged over images.

    threshold:   targets above it become 1, the rest 0, so that both classes of a mixed image count
                 fully; None keeps them soft.
    sum_classes: False averages over classes too, which makes gradients 1 / K as large.
    """

    smoothing: float = 0.0
    threshold: float | None = None
    sum_classes: bool = True

    def __post_init__(self) -> None:
        _check_smoothing(self.smoothing)
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise RecipeError(f"threshold={self.threshold}; give a value in [0, 1) or null")

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """logits: [N, K]; targets: [N] or soft [N, K] -> a scalar."""
        wide, classes = widened(logits), logits.shape[1]
        soft = F.one_hot(targets, classes) if targets.ndim == 1 else targets
        if self.threshold is not None:
            soft = soft > self.threshold
        soft = soft.to(wide.dtype) * (1 - self.smoothing) + self.smoothing / classes
        summed = F.binary_cross_entropy_with_logits(wide, soft, reduction="sum")
        return summed / (len(logits) if self.sum_classes else soft.numel())


LossSpec = CrossEntropy | BinaryCrossEntropy | Logistic


class Supervised(Method):
    """Learns from labels; the deployable module is the model itself."""

    def __init__(self, model: nn.Module, loss: LossSpec) -> None:
        super().__init__()
        self.model = model
        self.criterion = loss

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the loss of the model's logits; the only part carries the loss's name."""
        total = self.criterion.loss(self.model(batch.images), batch.targets)
        return Losses(total, {type(self.criterion).__name__: total.detach()})

    def deployable(self) -> nn.Module:
        """Returns the model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class SupervisedSpec(LearningSpec):
    """Describes supervised learning with a loss."""

    loss: LossSpec = field(default_factory=CrossEntropy)

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> Supervised:
        """Returns the method around `model`; nobody guides it."""
        del guidance
        return Supervised(model, self.loss)
