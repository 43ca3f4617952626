"""What methods that compare two versions of each image share: a projector, how much its answers
differ, and a linear probe beside them.

Source: A Simple Framework for Contrastive Learning of Visual Representations (2020), section 2.1,
for the projector; Bootstrap Your Own Latent (2020), section 3.3, for its norm, and its code for the
probe that learns alongside; Exploring Simple Siamese Representation Learning (2020), section 4.1,
for the spread.
Differs: no bias before the norm, which would take it away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import Batch
from vertebra.errors import RecipeError
from vertebra.methods.learning import LearningSpec, Shown
from vertebra.methods.supervised import widened


@dataclass(frozen=True, kw_only=True)
class TwoViews(LearningSpec):
    """A part of every description of a method that learns from two versions of each image and
    needs no labels.

    hidden:     width inside the projector.
    projection: length of the vectors that are compared.
    """

    hidden: int
    projection: int

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.projection < 1:
            raise RecipeError(
                f"hidden={self.hidden} and projection={self.projection}; give widths of 1 or more"
            )

    @property
    def needs_labels(self) -> bool:
        """The versions need none; the probe learns those that there are."""
        return False

    def check(self, shown: Shown) -> None:
        """Refuses images that do not come in two versions, or without the labels of the source.

        Raises:
            RecipeError: either is so; the message says what to do.
        """
        super().check(shown)
        kind = type(self).__name__
        if shown.views != 1:
            raise RecipeError(
                f"{kind} compares two versions of each image and data.views adds {shown.views} to "
                f"the first; give one view, as `vertebra pretrain` does"
            )
        if shown.elsewhere:
            raise RecipeError(
                f"learn_from gives images without labels, of which the probe beside {kind} cannot "
                f"learn the classes of the source; make them the source"
            )


def projector(width: int, hidden: int, projection: int) -> nn.Sequential:
    """Returns a fresh network of two layers: [N, width] -> [N, projection], N above 1."""
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, projection, bias=False),
    )


def probe_loss(head: nn.Module, vectors: Sequence[Tensor], batch: Batch) -> Tensor:
    """Returns the cross-entropy of the head on what it is given, whose makers get no gradient.

    Images without classes have a head of one class: its softmax is 1, and it learns nothing.

    vectors: [N, width] of each version of the images.
    """
    logits = head(torch.cat([vector.detach() for vector in vectors]))
    return F.cross_entropy(widened(logits), torch.cat([batch.targets] * len(vectors)))


def spread(vectors: Tensor) -> Tensor:
    """Returns how much the directions of vectors [N, D] differ: 0 where all are the same, about 1
    where they point everywhere.

    It is the root of the summed variances of x / |x|; each dimension's deviation is about 1 /
    sqrt(D) of it. Detached.
    """
    directions = F.normalize(widened(vectors.detach()))
    return (1 - directions.mean(0).square().sum()).clamp(min=0).sqrt()
