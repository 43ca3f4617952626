"""Noisy Student: a student learns from labels, and from what a teacher said of other images.

Source: Self-training with Noisy Student improves ImageNet classification (2020), section 2, and the
loss of the released code.

The teacher spoke once, before the phase; its answers come as the targets of the images beside. The
noise is in the student's images and in its model.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import nn

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.methods.learning import LearningSpec, Shown
from vertebra.methods.supervised import CrossEntropy, LossSpec


class NoisyStudent(Method):
    """Learns from labels and pseudo-labels in one pass; the deployable module is the model.

    weight: of the loss of the images beside; None is their number for each labelled one, so that
            every image counts alike, on the scale of the labelled batch.
    """

    def __init__(
        self, model: nn.Module, loss: LossSpec, *, weight: float | None, hard_smoothing: float
    ) -> None:
        super().__init__()
        self.model = model
        self.criterion = loss
        # soft pseudo-labels are as smooth as the teacher made them
        self._of_soft = replace(loss, smoothing=0.0)
        self._of_hard = replace(loss, smoothing=hard_smoothing)
        self._weight = weight

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the labelled loss plus `weight` times that of the images beside.

        Both go through the model at once, so that they share batch statistics.
        """
        others = require_others(batch)
        n, m = len(batch.images), len(others.images)
        labelled, guessed = self.model(torch.cat((batch.images, others.images))).split((n, m))
        known = self.criterion.loss(labelled, batch.targets)
        criterion = self._of_hard if others.targets.ndim == 1 else self._of_soft
        said = criterion.loss(guessed, others.targets)
        weight = m / n if self._weight is None else self._weight
        parts = {"labelled": known.detach(), "pseudo-labelled": said.detach()}
        return Losses(known + weight * said, parts)

    def deployable(self) -> nn.Module:
        """Returns the model."""
        return self.model


def require_others(batch: Batch) -> Batch:
    """Returns the images beside the batch.

    Raises:
        RecipeError: there are none.
    """
    if batch.unlabelled is None:
        raise RecipeError(
            "this method learns from images without labels too, and the batches hold none; "
            "set data.beside, or give --unlabelled"
        )
    return batch.unlabelled


@dataclass(frozen=True, kw_only=True)
class NoisyStudentSpec(LearningSpec):
    """Describes learning from labels and from a teacher's.

    loss:           of the labels; that of pseudo-labels is the same without its smoothing.
    weight:         of the pseudo-labels' loss, 0 or more; None is the number of images beside for
                    each labelled one.
    hard_smoothing: of pseudo-labels that are classes, in [0, 1).
    """

    loss: LossSpec = field(default_factory=lambda: CrossEntropy(smoothing=0.1))
    weight: float | None = None
    hard_smoothing: float = 0.1

    def __post_init__(self) -> None:
        if self.weight is not None and self.weight < 0:
            raise RecipeError(
                f"weight={self.weight}; give zero or more, or null for one that follows the ratio"
            )
        if not 0 <= self.hard_smoothing < 1:
            raise RecipeError(
                f"hard_smoothing={self.hard_smoothing}; give a share in [0, 1), usually 0.1"
            )

    @property
    def takes_beside(self) -> bool:
        """They are what it is for."""
        return True

    def check(self, shown: Shown) -> None:
        """Refuses a phase without images that a teacher labels.

        Raises:
            RecipeError: there are no images beside, or nobody labels them.
        """
        super().check(shown)
        beside = shown.beside
        if beside is None or beside.labels is None:
            what = "images without labels" if beside is None else "a teacher for the images beside"
            raise RecipeError(
                f"NoisyStudentSpec needs {what}; set data.beside with its labels, or train with "
                f"--method noisy-student --unlabelled PATH"
            )

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> NoisyStudent:
        """Returns the method around `model`; its teacher has spoken already."""
        del guidance
        return NoisyStudent(
            model, self.loss, weight=self.weight, hard_smoothing=self.hard_smoothing
        )
