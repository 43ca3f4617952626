"""cosub: two networks that stochastic depth makes out of one learn from labels and each other.

Source: Co-training 2^L Submodels for Visual Recognition (2023): the abstract, and the figure and
code that its authors released.
Differs: with a softmax loss the other's answer is its softmax. Smoothing, thresholds and tampering
act on labels only. A dropped block is computed and multiplied by zero, not left out.

    images --twice--> one network, blocks dropped at random  --> z1, z2

    w [loss(z1, y) + loss(z2, y)] / 2  +  (1 - w) [loss(z1, p(z2)) + loss(z2, p(z1))] / 2

    where p, a softmax or sigmoids, passes no gradient.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.methods.learning import LearningSpec
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy, LossSpec, widened
from vertebra.models.timm import TimmBackbone


class Cosub(Method):
    """Learns from labels and from itself; the deployable module is the model, with every block.

    model:        drops blocks at random, for each sample on its own.
    label_weight: share of the labels in the loss, in (0, 1].
    """

    def __init__(self, model: nn.Module, loss: LossSpec, *, label_weight: float = 0.5) -> None:
        super().__init__()
        self.model = model
        self.criterion = loss
        self.label_weight = label_weight

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the loss; its parts are what labels and the other submodel have to say."""
        # in one pass, so that batch statistics are taken and moved once
        logits = self.model(torch.cat((batch.images, batch.images)))  # [2N, K]
        labels = self.criterion.loss(logits, torch.cat((batch.targets, batch.targets)))
        peers = peer_loss(self.criterion, logits)
        total = self.label_weight * labels + (1 - self.label_weight) * peers
        return Losses(total, {"labels": labels.detach(), "peers": peers.detach()})

    def deployable(self) -> nn.Module:
        """Returns the model."""
        return self.model


def peer_loss(loss: LossSpec, logits: Tensor) -> Tensor:
    """Returns how far each half is from what the other says, with the kind of `loss`, a scalar.

    logits: [2N, K]; row n and row N + n are of one image. No gradient flows into what is said.
    """
    others = widened(logits.detach()).roll(len(logits) // 2, 0)
    if isinstance(loss, CrossEntropy):
        return CrossEntropy().loss(logits, others.softmax(1))
    is_mean = isinstance(loss, BinaryCrossEntropy) and not loss.sum_classes
    return BinaryCrossEntropy(sum_classes=not is_mean).loss(logits, others.sigmoid())


@dataclass(frozen=True, kw_only=True)
class CosubSpec(LearningSpec):
    """Describes co-training of submodels.

    loss:         of labels and, without what is done to labels alone, of the other's answer.
    label_weight: share of the labels in the loss, in (0, 1].
    """

    loss: LossSpec = field(default_factory=lambda: BinaryCrossEntropy(sum_classes=False))
    label_weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.label_weight <= 1:
            raise RecipeError(
                f"label_weight={self.label_weight}; give a share above 0, at most 1, usually 0.5"
            )

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> Cosub:
        """Returns the method around `model`; nobody guides it.

        Raises:
            RecipeError: the model drops no blocks, so that its submodels would be one.
        """
        del guidance
        if not drops_blocks(model):
            raise RecipeError(
                "cosub needs submodels that differ and this network drops no blocks; set "
                "model.stochastic_depth above 0, or choose a model that has it"
            )
        return Cosub(model, self.loss, label_weight=self.label_weight)


def drops_blocks(model: Classifier) -> bool:
    """Whether the network has stochastic depth: ours, or that which timm was asked for."""
    parts = list(model.modules())
    of_timm = [each for each in parts if isinstance(each, TimmBackbone)]
    return any(isinstance(each, StochasticDepth) and each.rate > 0 for each in parts) or any(
        each.arguments.get("drop_path_rate") for each in of_timm
    )
