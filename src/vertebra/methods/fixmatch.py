"""FixMatch: what the network is sure of in a plain view of an image, it has to say of a strong one.

Source: FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence (2020),
section 2.2, equations 3 and 4.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.methods.learning import LearningSpec, Shown
from vertebra.methods.noisy_student import require_others
from vertebra.methods.supervised import CrossEntropy, LossSpec, widened


class FixMatch(Method):
    """Learns from labels and from its own confident answers; the deployable module is the model."""

    def __init__(
        self, model: nn.Module, loss: LossSpec, *, threshold: float, weight: float
    ) -> None:
        super().__init__()
        self.model = model
        self.criterion = loss
        self._threshold = threshold
        self._weight = weight

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the labelled loss plus `weight` times that of agreement.

        The images beside come in their plain version, and in a strong one as their view. All go
        through the model at once; part "sure" is the share of images that were learnt from.
        """
        others = require_others(batch)
        images = torch.cat((batch.images, others.images, others.views[0]))
        n, m = len(batch.images), len(others.images)
        labelled, plain, strong = self.model(images).split((n, m, m))
        known = self.criterion.loss(labelled, batch.targets)
        agreement, sure = agree(plain, strong, threshold=self._threshold)
        parts = {"labelled": known.detach(), "agreement": agreement.detach(), "sure": sure}
        return Losses(known + self._weight * agreement, parts)

    def deployable(self) -> nn.Module:
        """Returns the model."""
        return self.model


def agree(plain: Tensor, strong: Tensor, *, threshold: float) -> tuple[Tensor, Tensor]:
    """Returns the cross-entropy of the strong views' logits with the class that the plain ones are
    sure of, and the share of images of which they are; both scalars.

    plain, strong: logits [M, K] of the same images. An image counts where the probability of its
    class is at least `threshold`; the mean is over all M. No gradient flows into `plain`.
    """
    confidence, guesses = widened(plain.detach()).softmax(1).max(1)
    is_sure = confidence >= threshold
    losses = F.cross_entropy(widened(strong), guesses, reduction="none")
    return (losses * is_sure).mean(), is_sure.float().mean()


@dataclass(frozen=True, kw_only=True)
class FixMatchSpec(LearningSpec):
    """Describes learning from labels and from confident answers.

    loss:      of the labels.
    threshold: the probability from which on an answer is learnt from, in [0, 1].
    weight:    of the loss of agreement, 0 or more.
    """

    loss: LossSpec = field(default_factory=CrossEntropy)
    threshold: float = 0.95
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise RecipeError(f"threshold={self.threshold}; give a probability, usually 0.95")
        if self.weight < 0:
            raise RecipeError(f"weight={self.weight}; give zero or more, usually 1")

    @property
    def takes_beside(self) -> bool:
        """They are what it is for."""
        return True

    def check(self, shown: Shown) -> None:
        """Refuses a phase without images in two versions of one size.

        Raises:
            RecipeError: there are no images beside, or other than one view of them, or labels.
        """
        super().check(shown)
        beside = shown.beside
        if beside is None:
            raise RecipeError(
                "FixMatchSpec needs images without labels; set data.beside with one view, or train "
                "with --method fixmatch --unlabelled PATH"
            )
        if len(beside.views) != 1 or beside.views[0].image_size is not None:
            raise RecipeError(
                f"FixMatchSpec compares two versions of one size and data.beside has "
                f"{len(beside.views)} further ones; give one view, with no image_size"
            )
        if beside.labels is not None:
            raise RecipeError(
                "FixMatchSpec labels the images beside itself; set data.beside.labels to null"
            )

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> FixMatch:
        """Returns the method around `model`; nobody guides it."""
        del guidance
        return FixMatch(model, self.loss, threshold=self.threshold, weight=self.weight)
