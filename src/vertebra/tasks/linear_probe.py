"""A linear probe: how well a linear map alone tells classes from the vectors of a frozen backbone.

Source: Bootstrap Your Own Latent (2020), section 4.1: SGD with Nesterov momentum, no decay of
weights, a cosine, the best of five rates on images held out of training.
Differs: vectors are taken once, of images as in evaluation, so that a probe takes seconds (the
recipe `linear-probe` augments). Dimensions are brought to one deviation and vectors to length 1 on
average, so that one list of rates serves every backbone; the map stays linear. Masked Autoencoders
Are Scalable Vision Learners (2021), appendix A.1, does so by a batch norm.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vertebra import uncompiled
from vertebra.contracts import Progress
from vertebra.duration import steps
from vertebra.engine.schedules import Cosine
from vertebra.errors import RecipeError
from vertebra.seeding import generator
from vertebra.tasks.features import Features, share_right

EPSILON = 1e-6
"""A dimension that deviates by less than this share of the one that does most counts as constant.
"""


class Probe(NamedTuple):
    """A linear map, weight [K, D] and bias [K], the rate at which it was learnt, and the share of
    the held-out images that it gets right."""

    weight: Tensor
    bias: Tensor
    rate: float
    held_out: float

    def logits(self, vectors: Tensor) -> Tensor:
        """vectors: [N, D] -> [N, K]."""
        return F.linear(vectors, self.weight, self.bias)


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """Describes how the map is learnt.

    rates:   those that are tried.
    epochs:  passes over the training images.
    updates: at least so many, as a hundred passes over few images are not enough.
    """

    rates: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0, 30.0)
    epochs: int = 100
    batch_size: int = 256
    updates: int = 1000

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) <= 0:
            raise RecipeError(f"rates={self.rates}; give one or more, all above 0")
        if self.epochs < 1 or self.batch_size < 1:
            raise RecipeError(
                f"epochs={self.epochs} and batch_size={self.batch_size}; give at least 1 of each"
            )

    def fit(self, train: Features, held_out: Features, *, classes: int, seed: int) -> Probe:
        """Returns the probe of the rate that is best on `held_out`, the lowest if several are."""
        probes = [
            self._learn(train, held_out, classes=classes, rate=rate, seed=seed)
            for rate in sorted(self.rates)
        ]
        return max(probes, key=lambda probe: probe.held_out)  # of equals the first

    def _learn(
        self, train: Features, held_out: Features, *, classes: int, rate: float, seed: int
    ) -> Probe:
        mean, scale = _scaling(train.vectors)
        vectors = (train.vectors - mean) * scale
        weight = torch.zeros(classes, vectors.shape[1], requires_grad=True)
        bias = torch.zeros(classes, requires_grad=True)
        optimizer = uncompiled.SGD([weight, bias], lr=rate, momentum=0.9, nesterov=True)
        updates = max(self.updates, self.epochs * -(-len(vectors) // self.batch_size))
        schedule = Cosine(warmup=steps(0))
        places = self._places(len(vectors), seed=seed)
        for step in range(updates):
            at = next(places)
            loss = F.cross_entropy(F.linear(vectors[at], weight, bias), train.targets[at])
            optimizer.zero_grad()
            loss.backward()
            optimizer.param_groups[0]["lr"] = rate * schedule.factor(Progress(step, updates), 1.0)
            optimizer.step()
        whole = (weight * scale).detach()  # the scaling is linear too: one map does both
        probe = Probe(whole, bias.detach() - whole @ mean, rate, 0.0)
        return probe._replace(
            held_out=share_right(probe.logits(held_out.vectors), held_out.targets)
        )

    def _places(self, images: int, *, seed: int) -> Iterator[Tensor]:
        """Yields the places of a batch after another, in an order of its own in each pass."""
        draws = generator(seed, "linear probe")
        while True:
            yield from torch.randperm(images, generator=draws).split(self.batch_size)


def _scaling(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and scale, each [D], with which vectors have a mean square length of 1."""
    deviation = vectors.std(0, correction=0)
    varies = deviation > EPSILON * deviation.max()
    scale = torch.where(varies, 1 / deviation, 0.0) / vectors.shape[1] ** 0.5
    return vectors.mean(0), scale
