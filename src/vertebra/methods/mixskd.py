"""MixSKD: what a network makes of a mixture, and the mixture of what it makes, teach each other.

Source: MixSKD: Self-Knowledge Distillation from Mixup for Image Recognition (2022), as far as its
abstract, its introduction and the code of its authors go.
Differs: the labels of mixtures always count; in the code for CIFAR they do not, which leaves its
self-teacher untrained. Discriminators are off unless asked for, and are opposed to the network, as
`mixskd_branches` says. Only the model's own head is judged, not the best of all heads. As in the
code, images and mixtures share their batch statistics.

For images x and y (y a permutation of the batch), a weight l for all of it and the mixture
m = l x + (1 - l) y, each branch k has features F_k and logits z_k, and the self-teacher t reads all
features at once. Let F^ and z^ be the mixtures of x's and y's, by the same l and permutation.

    labels        sum over k of CE(z_k(x))
    mixed_labels  mixed CE of each z_k(m), of t(F^) and of t(F(m))
    agreement     KL(z^ <- t(F(m))) + KL(z(m) <- t(F^)) for the model's own head, crossed;
                  KL(z^_k <- z_k(m)) + KL(z_k(m) <- z^_k) for the branches; no gradient into "<-"
    features      sum over k of MSE(F^_k, F_k(m)), with gradients into both
"""

import math
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Beta
from torch.nn import functional as F

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.distill import divergence
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.methods.learning import LearningSpec, Shown
from vertebra.methods.mixskd_branches import (
    BranchSpec,
    Discriminator,
    MapBranch,
    PooledHead,
    SelfTeacher,
)
from vertebra.methods.supervised import widened


class Pairing(NamedTuple):
    """Each sample's partner [N] in the batch, and the share [] that it keeps for itself."""

    share: Tensor
    partner: Tensor

    def mix(self, x: Tensor) -> Tensor:
        """x: [N, ...] -> each sample mixed with its partner."""
        return self.share * x + (1 - self.share) * x[self.partner]

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """logits: [N, K] of mixtures; targets: [N] of the images -> a scalar."""
        own = F.cross_entropy(logits, targets)
        return self.share * own + (1 - self.share) * F.cross_entropy(logits, targets[self.partner])


class Sight(NamedTuple):
    """What each branch makes of the images, the network itself last.

    features: [N, C, h, w] each; logits: [N, K] each, both in the precision of losses.
    """

    features: Sequence[Tensor]
    logits: Sequence[Tensor]

    def halves(self) -> "tuple[Sight, Sight]":
        """Returns what was made of the first and of the second half of the images."""
        features = zip(*(each.chunk(2) for each in self.features), strict=True)
        logits = zip(*(each.chunk(2) for each in self.logits), strict=True)
        first, second = map(Sight, features, logits)
        return first, second

    def mixed(self, pairing: Pairing) -> "Sight":
        """Returns the mixtures of what was made of each image and of its partner."""
        return Sight([*map(pairing.mix, self.features)], [*map(pairing.mix, self.logits)])


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Describes how much each part of the loss counts; the adversary only where it is on."""

    labels: float = 1.0
    mixed_labels: float = 1.0
    agreement: float = 1.0
    features: float = 1.0
    adversary: float = 1.0

    def __post_init__(self) -> None:
        if not all(0 <= each < math.inf for each in asdict(self).values()):
            raise RecipeError(f"{self}; give finite numbers, zero or more")


@dataclass(frozen=True, kw_only=True)
class MixSKDSpec(LearningSpec):
    """Describes self-distillation between images and their mixtures.

    mixup:       the Beta distribution's parameter.
    temperature: of the logits that teach and are taught, above 0.
    adversarial: discriminators tell mixed features from those of mixtures, against the network.
    """

    mixup: float = 0.2
    temperature: float = 3.0
    adversarial: bool = False
    branch: BranchSpec = field(default_factory=BranchSpec)
    weights: Weights = field(default_factory=Weights)

    def __post_init__(self) -> None:
        if not 0 < self.mixup < math.inf:
            raise RecipeError(f"mixup={self.mixup}; give a number above 0, usually 0.2 or 0.4")
        if not 0 < self.temperature < math.inf:
            raise RecipeError(f"temperature={self.temperature}; give a number above 0, usually 3")

    def check(self, shown: Shown) -> None:
        """Refuses images that are mixed beforehand.

        Raises:
            RecipeError: they are.
        """
        super().check(shown)
        if shown.augment.mixing is not None:
            raise RecipeError(
                "mixskd mixes images itself and needs their own classes; "
                "set data.augment.mixing to null"
            )

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> "MixSKD":
        """Returns the method around `model`, with branches drawn from torch's generator.

        Raises:
            RecipeError: the backbone declares no maps.
        """
        del guidance
        return MixSKD(model, self)


class MixSKD(Method):
    """Learns from labels, mixtures and itself; the deployable module is the model alone.

    A backbone of one map has no branches: the self-teacher then reads this one map.

    Raises:
        RecipeError: the backbone declares no maps.
    """

    def __init__(self, model: Classifier, spec: MixSKDSpec) -> None:
        super().__init__()
        maps = model.backbone.maps
        if not maps:
            raise RecipeError(
                f"mixskd reads a network's maps and {type(model.backbone).__name__} declares none; "
                f"choose another model or method"
            )
        self.model = model
        self.spec = spec
        self.weights = asdict(spec.weights)
        count, channels, classes = len(maps), maps[-1].channels, _class_count(model)
        self.branches = nn.ModuleList(
            MapBranch(maps[place:], spec.branch) for place in range(count - 1)
        )
        self.heads = nn.ModuleList(PooledHead(channels, classes) for _ in range(count - 1))
        self.self_teacher = SelfTeacher(channels, count, classes)
        self.discriminators = nn.ModuleList(
            Discriminator(channels) for _ in range(count if spec.adversarial else 0)
        )

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the weighted sum of the parts.

        Raises:
            RecipeError: the targets are not class numbers [N].
        """
        del progress
        images, targets = batch.images, _hard(batch.targets)
        pairing = _draw(len(images), self.spec.mixup, images.device)
        # one pass over both, as the code of the authors has it
        plain, seen = self.look(torch.cat((images, pairing.mix(images)))).halves()
        made = plain.mixed(pairing)
        from_made, from_seen = (widened(self.self_teacher(each.features)) for each in (made, seen))
        parts = {
            "labels": _total(F.cross_entropy(each, targets) for each in plain.logits),
            "mixed_labels": _total(
                pairing.cross_entropy(each, targets)
                for each in (*seen.logits, from_made, from_seen)
            ),
            "agreement": self._agreement(made, seen, from_made, from_seen),
            "features": _total(map(F.mse_loss, made.features, seen.features)),
        }
        if self.spec.adversarial:
            parts["adversary"] = self._adversary(made, seen)
        total = _total(self.weights[name] * part for name, part in parts.items())
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    def deployable(self) -> Classifier:
        """Returns the model, without what was added to it."""
        return self.model

    def look(self, images: Tensor) -> Sight:
        """images: [N, C, H, W] -> what every branch makes of them."""
        encoding = self.model.backbone(images)
        *early, last = encoding.maps
        size = (last.shape[2], last.shape[3])
        features = [branch(x, size) for branch, x in zip(self.branches, early, strict=True)]
        logits = [head(x) for head, x in zip(self.heads, features, strict=True)]
        own = self.model.head(encoding.vector)
        return Sight([*map(widened, (*features, last))], [*map(widened, (*logits, own))])

    def _agreement(self, made: Sight, seen: Sight, from_made: Tensor, from_seen: Tensor) -> Tensor:
        """Returns how far all are from those who teach them."""
        *mine, last_made = made.logits
        *theirs, last_seen = seen.logits
        pairs = [(last_made, from_seen), (last_seen, from_made)]
        pairs += [*zip(mine, theirs, strict=True), *zip(theirs, mine, strict=True)]
        warmth = self.spec.temperature
        return warmth**2 * _total(
            divergence(teacher.detach(), student, warmth) for student, teacher in pairs
        )

    def _adversary(self, made: Sight, seen: Sight) -> Tensor:
        """Returns how well the discriminators tell features that were mixed from those that were
        seen."""
        found = [
            widened(judge(torch.cat(pair)))
            for judge, *pair in zip(self.discriminators, made.features, seen.features, strict=True)
        ]
        goal = torch.zeros_like(found[0])
        goal[: len(goal) // 2] = 1
        return _total(F.binary_cross_entropy_with_logits(each, goal) for each in found)


def _total(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack([*losses]).sum()


def _draw(samples: int, mixup: float, device: torch.device) -> Pairing:
    """Returns a pairing drawn on the CPU: the same draws on every device.

    Neither part waits for the device: a scalar may stay where it is, and so few numbers are sent
    without waiting for those before them.
    """
    share = Beta(mixup, mixup).sample()
    return Pairing(share, torch.randperm(samples).to(device, non_blocking=True))


def _hard(targets: Tensor) -> Tensor:
    if targets.ndim != 1:
        raise RecipeError(
            f"targets of shape {list(targets.shape)}; mixskd mixes images itself: give it class "
            f"numbers [N] and no data.augment.mixing"
        )
    return targets


def _class_count(model: Classifier) -> int:
    vector = next(model.parameters()).new_zeros(1, model.backbone.width)
    with torch.no_grad():
        return deepcopy(model.head).eval()(vector).shape[1]
