"""Co-training: several networks learn from versions of their own of each image, and to agree.

Source: Towards Better Accuracy-efficiency Trade-offs: Divide and Co-training (2022); its code for
how the weight of the disagreement grows.
Differs: the weight grows with each update, where the code's grows with each epoch. The divergence
takes the logarithm of the mean answer from logits, so that no probability is rounded to zero. It
compares softmaxes whatever the loss.

    version 1 --> network 1 --> z1 --+--> loss(z1, y)
                                     +--> w(t) JS(softmax z1, softmax z2)
    version 2 --> network 2 --> z2 --+--> loss(z2, y)

All of it is summed, so that each network learns from its labels at the rate that it would have
alone; gradients of the divergence flow into all.
"""

import math
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.methods.learning import LearningSpec, Shown
from vertebra.methods.supervised import CrossEntropy, LossSpec, widened
from vertebra.models.divide import DividedSpec
from vertebra.models.ensemble import Ensemble, EnsembleSpec, MeanHead
from vertebra.models.shelf import title


class CoTraining(Method):
    """Learns an ensemble, each network from a version of its own; the ensemble is deployed."""

    def __init__(self, model: Classifier, spec: "CoTrainingSpec") -> None:
        super().__init__()
        self.model = model
        self.spec = spec

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the sum of the networks' losses, and how far they disagree, weighted.

        batch: with a version for each network, `images` for the first, `views` for the others.
        """
        ensemble, head = cast(Ensemble, self.model.backbone), cast(MeanHead, self.model.head)
        logits = head.each(ensemble.compare((batch.images, *batch.views)))  # [S, N, K]
        labels = torch.stack([self.spec.loss.loss(each, batch.targets) for each in logits]).sum()
        if len(logits) == 1:
            return Losses(labels, {"labels": labels.detach()})
        divergence = jensen_shannon(widened(logits))
        total = labels + self.spec.weight_at(progress) * divergence
        return Losses(total, {"labels": labels.detach(), "disagreement": divergence.detach()})

    def deployable(self) -> Classifier:
        """Returns the ensemble, whose logits are the mean of its networks'."""
        return self.model


def jensen_shannon(logits: Tensor) -> Tensor:
    """Returns how far S answers are from their mean, in [0, ln S], a scalar.

    It is JS = H(mean of p) - mean of H(p) = mean of KL(p | mean of p), for p = softmax(logits), and
    a mean over the images.

    logits: [S, N, K]; gradients flow into all of them.
    """
    log_p = logits.log_softmax(-1)
    log_mean = log_p.logsumexp(0) - math.log(len(logits))  # [N, K]
    return (log_p.exp() * (log_p - log_mean)).sum(-1).mean()


@dataclass(frozen=True, kw_only=True)
class CoTrainingSpec(LearningSpec):
    """Describes co-training.

    loss:   of each network's logits and the labels.
    weight: of the disagreement, once it has grown; 0 leaves the networks alone.
    floor:  its weight at the start.
    warmup: share of the phase, in [0, 1], in which the weight grows evenly from 0 on, never below
            the floor; published are 40 epochs of 300.
    """

    loss: LossSpec = field(default_factory=CrossEntropy)
    weight: float = 0.5
    floor: float = 0.005
    warmup: float = 40 / 300

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf or not 0 <= self.floor < math.inf:
            raise RecipeError(
                f"weight={self.weight} and floor={self.floor}; give finite numbers, zero or more"
            )
        if not 0 <= self.warmup <= 1:
            raise RecipeError(f"warmup={self.warmup}; give a share of the phase from 0 to 1")

    def weight_at(self, progress: Progress) -> float:
        """Returns the weight of the disagreement in the update that follows `progress`."""
        grown = min(1.0, progress.fraction / self.warmup) if self.warmup else 1.0
        return max(min(self.floor, self.weight), self.weight * grown)

    def check(self, shown: Shown) -> None:
        """Refuses a model of one network, and views that do not go round.

        Raises:
            RecipeError: either is so; the message says what to do.
        """
        super().check(shown)
        model, views = shown.model, shown.views
        if not isinstance(model, DividedSpec | EnsembleSpec):
            raise RecipeError(_one_network(title(model)))
        if views != model.networks - 1:
            raise RecipeError(
                f"co-training shows each of {model.networks} networks a version of its own and "
                f"data.views adds {views} to the first; give {model.networks - 1} views, as "
                f"`--method co-training` does"
            )

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> CoTraining:
        """Returns the method around `model`; nobody guides it.

        Raises:
            RecipeError: the model is one network.
        """
        del guidance
        if not isinstance(model.backbone, Ensemble) or not isinstance(model.head, MeanHead):
            raise RecipeError(_one_network(type(model.backbone).__name__))
        return CoTraining(model, self)


def _one_network(name: str) -> str:
    return (
        f"co-training needs several networks and the model is one, {name}; divide it with a "
        f"DividedSpec, as `--method co-training` does"
    )
