"""Two streams of images made one: each labelled batch has images of a second data set beside it."""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from vertebra.contracts import Batch
from vertebra.data.augment import Augment
from vertebra.data.loader import TrainBatches
from vertebra.data.patches import Patches
from vertebra.data.unlabelled import Unlabelled
from vertebra.data.views import View
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """Describes the labels that a teacher gives to images without, before a phase begins.

    teacher:     a run directory; None is the model that the phase before has left.
    threshold:   images of whose class it is less sure are left out, in [0, 1].
    per_class:   about so many images of each class are learnt from: drawn from the surest where it
                 has more, repeated where it has fewer. "even" is an even share of the images; None
                 takes each one that it is sure of once.
    hard:        the target is the class, and not the probability of every class.
    temperature: above 1 evens soft targets, below 1 sharpens them.
    """

    teacher: str | None = None
    threshold: float = 0.3
    per_class: int | Literal["even"] | None = "even"
    hard: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.teacher == "":
            raise RecipeError("teacher=''; give a run directory, or null for the phase before")
        if not 0 <= self.threshold <= 1:
            raise RecipeError(f"threshold={self.threshold}; give a probability, usually 0.3")
        if isinstance(self.per_class, int) and self.per_class < 1:
            raise RecipeError(
                f"per_class={self.per_class}; give at least 1, 'even', or null for all"
            )
        if self.temperature <= 0:
            raise RecipeError(f"temperature={self.temperature}; give a number above 0, usually 1")


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Describes images that are learnt from beside the labelled ones.

    images: None are all those that the labelled ones come from, without their labels.
    ratio:  so many of them for each labelled image.
    labels: who labels them, where the method learns from a teacher's labels.
    """

    images: Unlabelled | Patches | None = None
    ratio: int = 1
    augment: Augment = field(default_factory=Augment)
    views: tuple[View, ...] = ()
    labels: PseudoLabels | None = None

    def __post_init__(self) -> None:
        if self.ratio < 1:
            raise RecipeError(f"ratio={self.ratio}; give at least 1 image beside each labelled one")
        if self.augment.mixing is not None:
            raise RecipeError("images without labels are not mixed; leave mixing out beside them")


@dataclass(frozen=True, eq=False)
class JointBatches:
    """The batches of `labelled`, each with the batch of `beside` of the same update."""

    labelled: TrainBatches
    beside: TrainBatches

    @property
    def quarantined(self) -> Mapping[str, str]:
        """Files of either that could not be read so far, with reasons."""
        return ChainMap(self.labelled.quarantined, self.beside.quarantined)

    def __iter__(self) -> Iterator[Batch]:
        """Yields the labelled batches with `unlabelled` filled.

        Raises:
            DataError, DeviceError: as of either stream.
        """
        for batch, other in zip(self.labelled, self.beside, strict=True):
            yield replace(batch, unlabelled=other)
