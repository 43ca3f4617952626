"""What every description of a way to learn says beforehand: what it needs, what it refuses."""

from dataclasses import dataclass
from typing import NamedTuple

from vertebra.data.augment import Augment
from vertebra.data.beside import Beside
from vertebra.errors import RecipeError
from vertebra.models.shelf import BackboneSpec


class Shown(NamedTuple):
    """What a phase gives its method to learn with.

    augment:   of the images; `views` is the number of further versions of each.
    beside:    images without labels that are learnt from too.
    elsewhere: whether the images are not those of the source, and have no labels.
    """

    model: BackboneSpec
    augment: Augment
    views: int = 0
    beside: Beside | None = None
    elsewhere: bool = False


@dataclass(frozen=True, kw_only=True)
class LearningSpec:
    """A part of every description of a method."""

    @property
    def needs_labels(self) -> bool:
        """Whether it learns from labels."""
        return True

    @property
    def takes_beside(self) -> bool:
        """Whether it learns from images beside the labelled ones."""
        return False

    def check(self, shown: Shown) -> None:
        """Refuses what the method cannot learn with, or has no use for; reads no data.

        Raises:
            RecipeError: the message says what to do.
        """
        if shown.beside is not None and not self.takes_beside:
            raise RecipeError(
                f"{type(self).__name__} has no use for images beside the labelled ones; set "
                f"data.beside to null, or learn by noisy-student or fixmatch"
            )
        if shown.elsewhere and self.needs_labels:
            raise RecipeError(
                f"learn_from gives images without labels and {type(self).__name__} needs labels; "
                f"leave it out, or learn by a method that needs none"
            )
