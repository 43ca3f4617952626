"""SimCLR: of all images in a batch a network finds the other version of each one.

Source: A Simple Framework for Contrastive Learning of Visual Representations (2020), section 2.1,
equation 1 and algorithm 1.
Differs: batch statistics are those of one version, in one process.

    version 1 --> backbone --> projector --> z_1 ... z_N        s_ij = cos(z_i, z_j) / temperature
    version 2 --> backbone --> projector --> z_N+1 ... z_2N     loss_i = -log softmax_k!=i(s_ik)[j]

where j is the other version of i; of several processes each compares its own with those of all.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.methods.supervised import widened
from vertebra.methods.two_views import TwoViews, probe_loss, projector, spread


class SimCLR(Method):
    """Learns from two versions of each image; the deployable module is the backbone and a linear
    probe, which learns beside it where the images have classes."""

    def __init__(self, model: Classifier, spec: "SimCLRSpec") -> None:
        super().__init__()
        self.spec = spec
        self.model = model
        self.projector = projector(model.backbone.width, spec.hidden, spec.projection)

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the loss; its parts are that of the versions, the probe's, and how much the
        projections differ."""
        vectors = [self.model.backbone(images).vector for images in (batch.images, *batch.views)]
        first, second = (self.projector(vector) for vector in vectors)
        contrast = nt_xent(first, second, temperature=self.spec.temperature)
        probe = probe_loss(self.model.head, vectors, batch)
        parts = {
            "simclr": contrast.detach(),
            "probe": probe.detach(),
            "spread": spread(torch.cat((first, second))),
        }
        return Losses(contrast + probe, parts)

    def deployable(self) -> Classifier:
        """Returns the backbone with the probe as its head."""
        return self.model


def nt_xent(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    """Returns the mean loss of this process's 2n vectors, each compared with all 2N, a scalar.

    The mean over processes is what one process has that holds all images, and its gradient too.

    first, second: [n, D], the versions of the same images; n is the same in all processes.
    """
    own = F.normalize(widened(torch.cat((first, second))))  # [2n, D]
    everyone, place = _gathered(own)
    # half precision would round similarities that are divided by a small temperature
    with torch.autocast(own.device.type, enabled=False):
        similarities = own @ everyone.T / temperature  # [2n, 2N]
    rows = torch.arange(len(own), device=own.device)
    itself = F.one_hot(place + rows, len(everyone)).bool()
    others = similarities.masked_fill(itself, -math.inf)
    return F.cross_entropy(others, place + rows.roll(len(first)))


def _gathered(own: Tensor) -> tuple[Tensor, int]:
    """Returns the rows of all processes, and where those of this one begin."""
    if not (dist.is_available() and dist.is_initialized()):
        return own, 0
    return _Gather.apply(own), dist.get_rank() * len(own)


class _Gather(torch.autograd.Function):
    """Rows [n, D] -> those of all processes [P n, D]; gradients of all flow back into them."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        rows = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(rows, own.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        summed = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed.chunk(dist.get_world_size())[dist.get_rank()]


@dataclass(frozen=True, kw_only=True)
class SimCLRSpec(TwoViews):
    """Describes SimCLR.

    temperature: divides similarities; the smaller, the more the nearest images count.
    """

    hidden: int = 2048
    projection: int = 128
    temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < math.inf:
            raise RecipeError(f"temperature={self.temperature}; give one above 0, usually 0.1")

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> SimCLR:
        """Returns the method around `model`; nobody guides it."""
        del guidance
        return SimCLR(model, self)
