"""Arch-Net: a residual network teaches its Arch-Net, part by part, without labels.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors for the adapters, the weights of the targets and the cosine.
Differs: parts behind the last target are neither computed nor trained, where the authors' move
their batch statistics. Adapters begin as what passes the student's feature on, and anew in each
phase.

    images --> teacher  t1 --> t2 --> ... --> tn         loss: sum over k of 0.8^(n-k) times
                 |      |      |                            mean (a(s) - t)^2 of features,
               gates   gate   gate                          mean (1 - cos(s, t)) of logits
                 |      |      |
    images --> student  s1 --> s2 --> ... --> sn         a(s) = s + 1x1(3x3(1x1(gate(t) s)))
"""

from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.guidance import NOBODY, Guidance, Taught, Teacher
from vertebra.models.arch_net_original import feature_channels
from vertebra.models.arch_net_start import require_pair, start_from
from vertebra.models.arch_net_targets import outputs, parts
from vertebra.models.operators import require_supported

SQUEEZE = 24
"""Channels of a feature for one inside its gate."""


class Adapter(nn.Module):
    """A student's feature as it is compared with the teacher's: what helps in training alone.

    channels: of both features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // SQUEEZE)
        self.gate = nn.Sequential(
            nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid()
        )
        self.residual = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.Conv2d(channels, channels, 1),
        )
        for parameter in self.residual[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """student, teacher: [N, C, H, W] -> [N, C, H, W], to be like the teacher's."""
        gate = self.gate(teacher.mean((2, 3)))[:, :, None, None]  # [N, C, 1, 1]
        return student + self.residual(gate * student)


class ArchNetDistillation(Method):
    """Learns to give what the teacher gives at the first targets; deploys the Arch-Net alone.

    targets: number of them, in the order of `outputs`; what lies behind them stays as it is.
    """

    def __init__(self, model: Classifier, teacher: Teacher, *, targets: int, decay: float) -> None:
        super().__init__()
        _, original = require_pair(model, teacher.model)
        self.model = model
        self.teachers = (teacher,)
        self.targets = targets
        self.decay = decay
        self.adapters = nn.ModuleList(map(Adapter, feature_channels(original)[:targets]))
        model.requires_grad_(False)
        for group in parts(model)[:targets]:
            for part in group:
                part.requires_grad_(True)

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the loss with its parts: the weighted sum over features and, where the logits are
        a target, one minus the cosine. Labels are not looked at."""
        (teacher,) = self.teachers
        with torch.no_grad():
            wanted = self._outputs(teacher.model, teacher.own(batch.images))
        given = self._outputs(self.model, batch.images)
        features = given[0].new_zeros((), dtype=torch.float32)
        for k, adapter in enumerate(self.adapters):
            missed = F.mse_loss(adapter(given[k], wanted[k]).float(), wanted[k].float())
            features = features + self.weight(k) * missed
        if len(self.adapters) == self.targets:
            return Losses(features, {"features": features.detach()})
        theirs = wanted[-1][:, teacher.order].float()
        logits = (1 - F.cosine_similarity(given[-1].float(), theirs, dim=1)).mean()
        return Losses(features + logits, {"features": features.detach(), "logits": logits.detach()})

    def weight(self, target: int) -> float:
        """Returns the weight of a target, counted from 0: 1 of the last one."""
        return self.decay ** (self.targets - 1 - target)

    def deployable(self) -> nn.Module:
        """Returns the Arch-Net."""
        return self.model

    def _outputs(self, model: Classifier, images: Tensor) -> list[Tensor]:
        return list(islice(outputs(model, images), self.targets))


@dataclass(frozen=True, kw_only=True)
class ArchNetDistillSpec(Taught):
    """Describes how an Arch-Net learns from the residual network that it stands for.

    targets:             so many are learnt, from the image on: the stem, each convolution and the
                         end of each block, and last the logits. None is all; a recipe of several
                         phases grows it.
    decay:               in (0, 1], weight of a target as a share of the one after it.
    starts_from_teacher: begins with the teacher's weights; a later phase, which goes on with what
                         the one before has learnt, must not.
    """

    targets: int | None = None
    decay: float = 0.8
    starts_from_teacher: bool = True

    def __post_init__(self) -> None:
        if self.targets is not None and self.targets < 1:
            raise RecipeError(f"targets={self.targets}; give at least 1, or null for all")
        if not 0 < self.decay <= 1:
            raise RecipeError(f"decay={self.decay}; give a share above 0, at most 1, usually 0.8")

    @property
    def needs_labels(self) -> bool:
        """None are needed."""
        return False

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> ArchNetDistillation:
        """Returns the method around the Arch-Net `model`.

        Raises:
            RecipeError: there is not one teacher, it is not what the model stands for, there are
                not so many targets, or the model needs an operator that it should not.
        """
        if len(guidance.teachers) != 1:
            raise RecipeError(
                f"an Arch-Net learns from one teacher and has {len(guidance.teachers)}; give one "
                f"finished run, as --teacher RUN"
            )
        (teacher,) = guidance.teachers
        net, _ = require_pair(model, teacher.model)
        there = len(parts(model))
        if self.targets is not None and self.targets > there:
            raise RecipeError(
                f"targets={self.targets} and the Arch-Net has {there}; give at most that many"
            )
        if self.starts_from_teacher:
            limit = net.spec.max_channels
            require_supported(model, in_channels=net.in_channels, max_channels=limit)
            start_from(model, teacher.model, teacher.order)
        targets = there if self.targets is None else self.targets
        return ArchNetDistillation(model, teacher, targets=targets, decay=self.decay)
