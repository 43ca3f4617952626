"""Distillation: a student learns to answer as its teachers do.

Source: Distilling the Knowledge in a Neural Network (2015), section 2 (the temperature and its
square, labels beside the teacher); Knowledge Distillation: A Good Teacher Is Patient and Consistent
(2022), for a teacher that sees the student's pixels, and for no labels; The Augmented Image Prior
(2023), for no square.
Differs: the divergence KL(teacher || student) in place of the cross-entropy, from which it differs
by the teacher's entropy, a constant: so the loss is 0 where student and teacher agree. A fixed
teacher is asked about the centre of each image, by this student's preprocessing.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vertebra.contracts import Batch, Classifier, Losses, Method, Progress
from vertebra.errors import RecipeError
from vertebra.methods.guidance import NOBODY, Guidance, Taught
from vertebra.methods.learning import Shown
from vertebra.methods.supervised import CrossEntropy, LossSpec, widened


def divergence(answers: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """Returns KL(teacher || student) of probabilities at a temperature, mean over images.

    answers: [..., N, K], logits of teachers; logits: [N, K] of the student -> [...].
    """
    teacher = (answers / temperature).log_softmax(-1)
    student = (logits / temperature).log_softmax(-1)
    return (teacher.exp() * (teacher - student)).sum(-1).mean(-1)


def agreement(answers: Tensor, logits: Tensor) -> Tensor:
    """Returns the share of images for which student and teachers name the same class first.

    answers: [M, N, K], of which the mean probability counts; logits: [N, K].
    """
    named = answers.softmax(-1).mean(0).argmax(-1)
    return (named == logits.argmax(-1)).float().mean()


class Distill(Method):
    """Learns from teachers, and from labels if they have a share; deploys the student alone."""

    def __init__(self, model: nn.Module, guidance: Guidance, spec: "DistillSpec") -> None:
        super().__init__()
        self.model = model
        self.teachers = guidance.teachers
        self.answers = guidance.answers if spec.asks_once else None
        self.spec = spec

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the loss with its parts: the divergence, before its factors, the agreement, and
        the loss of the labels under its own name."""
        spec = self.spec
        logits = widened(self.model(batch.images))
        answers = self._ask(batch)
        each = divergence(answers, logits, spec.temperature)  # [M]
        soft = each.sum() if spec.sums_teachers else each.mean()
        parts = {"KL": soft.detach(), "agreement": agreement(answers, logits.detach())}
        total = soft * spec.temperature**2 if spec.scales_by_square else soft
        if spec.hard_weight:
            hard = spec.loss.loss(logits, batch.targets)
            parts[type(spec.loss).__name__] = hard.detach()
            total = (1 - spec.hard_weight) * total + spec.hard_weight * hard
        return Losses(total, parts)

    @torch.no_grad()
    def _ask(self, batch: Batch) -> Tensor:
        """Returns what the teachers answer: [M, N, K]."""
        if self.answers is not None:
            return self.answers[:, batch.index]
        return torch.stack([widened(each(each.version(batch))) for each in self.teachers])

    def deployable(self) -> nn.Module:
        """Returns the student."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class DistillSpec(Taught):
    """Describes learning from teachers.

    temperature:      divides all logits: the higher, the more the unlikely classes count.
    hard_weight:      share of the labels' loss in the whole, in [0, 1); at 0 none are needed.
    loss:             that of the labels.
    scales_by_square: multiplies the divergence by temperature^2, which keeps its gradients as large
                      whatever the temperature; without it an optimizer like Adam has to.
    sums_teachers:    whether losses of several teachers are added; else their mean is taken.
    is_consistent:    whether a teacher sees the very pixels that the student sees. Else it is asked
                      once, before the phase, about the centre of each image, which is cheaper, and
                      worse the longer the training.
    """

    temperature: float = 1.0
    hard_weight: float = 0.0
    loss: LossSpec = field(default_factory=CrossEntropy)
    scales_by_square: bool = True
    sums_teachers: bool = True
    is_consistent: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise RecipeError(f"temperature={self.temperature}; give a number above 0, often 1-20")
        if not 0 <= self.hard_weight < 1:
            raise RecipeError(
                f"hard_weight={self.hard_weight}; give a share in [0, 1), 0 to learn from teachers "
                f"alone"
            )

    @property
    def needs_labels(self) -> bool:
        """Whether labels have a share."""
        return self.hard_weight > 0

    @property
    def asks_once(self) -> bool:
        """Whether the teachers are fixed."""
        return not self.is_consistent

    def check(self, shown: Shown) -> None:
        """Refuses images that a fixed teacher has not been asked about.

        Raises:
            RecipeError: images are mixed.
        """
        super().check(shown)
        if shown.augment.mixing is not None and not self.is_consistent:
            raise RecipeError(
                "is_consistent=False with mixing: a teacher that answered once has not seen the "
                "mixed images; set data.augment.mixing to null, or is_consistent to true"
            )

    def build(self, model: Classifier, guidance: Guidance = NOBODY) -> Distill:
        """Returns the method around the student `model`.

        Raises:
            RecipeError: there is no teacher, or a fixed one was not asked.
        """
        if not guidance.teachers or (self.asks_once and guidance.answers is None):
            raise RecipeError("distillation has no teacher to ask; give a finished run as one")
        return Distill(model, guidance, self)
