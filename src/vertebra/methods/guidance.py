"""What a method is given beside the model it trains: teachers, which were trained before."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from vertebra.contracts import Batch, Classifier
from vertebra.methods.learning import LearningSpec


class Teacher(nn.Module):
    """A finished network that answers in its student's terms; it stays as it is.

    model: images [N, C, H, W], scaled as it was trained with -> logits over its own classes.
    scale: [C, 1, 1] and shift: [C, 1, 1] turn what the student sees into what it was trained with.
    order: [K], the place among its classes of each of the student's.
    image_size: side in pixels of the images it was trained with; None if that is not known.
    """

    def __init__(
        self,
        model: Classifier,
        *,
        scale: Tensor,
        shift: Tensor,
        order: Tensor,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.image_size = image_size
        self.scale: Tensor
        self.shift: Tensor
        self.order: Tensor
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.register_buffer("order", order)

    def forward(self, images: Tensor) -> Tensor:
        """images: [N, C, H, W], scaled as for the student -> logits [N, K] in its order."""
        return self.model(self.own(images))[:, self.order]

    def own(self, images: Tensor) -> Tensor:
        """images: [N, C, H, W], scaled as for the student -> the same as the teacher knows them."""
        return images * self.scale + self.shift

    def version(self, batch: Batch) -> Tensor:
        """Returns the version of the batch's images that has the teacher's size, else the first."""
        versions = (batch.images, *batch.views)
        return next((each for each in versions if each.shape[-1] == self.image_size), batch.images)

    def train(self, mode: bool = True) -> "Teacher":
        """Stays in evaluation, whatever is asked for."""
        del mode
        return super().train(False)


class Guidance(NamedTuple):
    """Teachers on the run's device; a method keeps them in a tuple, so that they are no part of it:
    they are neither trained nor saved with it.

    answers: [M, n, K], the logits of each of M teachers for each of the n images that are learnt
             from, where the method has them asked once for all.
    """

    teachers: tuple[Teacher, ...] = ()
    answers: Tensor | None = None


NOBODY = Guidance()


@dataclass(frozen=True, kw_only=True)
class Taught(LearningSpec):
    """A part of every description of a method that learns from teachers.

    teachers: run directories.
    """

    teachers: tuple[str, ...] = ()

    @property
    def asks_once(self) -> bool:
        """Whether the teachers answer once for each image, before the phase, and not as it goes."""
        return False
