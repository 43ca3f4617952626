"""BYOL: a network learns to foretell what a slow copy of it makes of another version of an image.

Source: Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning (2020), section 3.1,
equation 2, and appendix A.
Differs: the target begins as a copy of the online network, where the authors draw it afresh and saw
no difference. Batch statistics are those of one version, in one process.

    version 1 --> backbone --> projector --> predictor --> q1 ---+
                                                                 +--> 2 - 2 cos(q1, z2)
    version 2 --> target backbone --> target projector --> z2 ---+

and the same with the versions exchanged; both are summed. The target passes no gradient. After an
update k of K it moves to  tau target + (1 - tau) online,  tau = 1 - (1 - tau_0)(1 + cos(pi k/K))/2.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.methods.supervised import widened
from vertebra.methods.two_views import TwoViews, probe_loss, projector, spread


class BYOL(Method):
    """Learns from two versions of each image; the deployable module is the online backbone and a
    linear probe, which learns beside it where the images have classes."""

    def __init__(self, model: Classifier, spec: "BYOLSpec") -> None:
        super().__init__()
        self.spec = spec
        self.model = model
        self.projector = projector(model.backbone.width, spec.hidden, spec.projection)
        self.predictor = projector(spec.projection, spec.hidden, spec.projection)
        self.target_backbone = copy.deepcopy(model.backbone).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the loss; its parts are that of the versions, in [0, 8], the probe's, and how
        much the projections differ, which falls towards 0 as they collapse."""
        versions = (batch.images, *batch.views)
        # one version at a time: each is normalised by its own statistics
        vectors = [self.model.backbone(images).vector for images in versions]
        first, second = (self.projector(vector) for vector in vectors)
        with torch.no_grad():
            wanted = [self.target_projector(self.target_backbone(each).vector) for each in versions]
        agreement = distance(self.predictor(first), wanted[1]).mean()
        agreement = agreement + distance(self.predictor(second), wanted[0]).mean()
        probe = probe_loss(self.model.head, vectors, batch)
        parts = {
            "byol": agreement.detach(),
            "probe": probe.detach(),
            "spread": spread(torch.cat((first, second))),
        }
        return Losses(agreement + probe, parts)

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        """Moves the target's weights; its batch statistics are its own."""
        weight = 1 - self.spec.tau_at(progress)
        pairs = (self.target_backbone, self.model.backbone), (self.target_projector, self.projector)
        for target, online in pairs:
            for theirs, ours in zip(target.parameters(), online.parameters(), strict=True):
                theirs.lerp_(ours, weight)

    def deployable(self) -> Classifier:
        """Returns the online backbone with the probe as its head."""
        return self.model


def distance(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Returns |p / |p| - w / |w||^2 = 2 - 2 cos(p, w) of each row, [N], in [0, 4].

    predicted, wanted: [N, D]; no gradient flows into what is wanted.
    """
    predicted, wanted = (F.normalize(widened(each)) for each in (predicted, wanted.detach()))
    return 2 - 2 * (predicted * wanted).sum(1)


@dataclass(frozen=True, kw_only=True)
class BYOLSpec(TwoViews):
    """Describes BYOL.

    hidden: width inside the projector, and inside the predictor.
    tau:    share of its weights that the target keeps in an update, at the start; it grows to 1.
    """

    hidden: int = 4096
    projection: int = 256
    tau: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.tau <= 1:
            raise RecipeError(f"tau={self.tau}; give a share from 0 to 1, usually 0.99")

    def tau_at(self, progress: Progress) -> float:
        """Returns the share that is kept when so much is done: tau at the start, 1 at the end."""
        return 1 - (1 - self.tau) * (math.cos(math.pi * progress.fraction) + 1) / 2

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> BYOL:
        """Returns the method around `model`; nobody guides it."""
        del guidance
        return BYOL(model, self)
