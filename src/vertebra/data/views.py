"""Further versions of each image, for methods that compare several."""

from dataclasses import dataclass

from vertebra.data.augment import Augment
from vertebra.data.preprocess import Preprocess
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class View:
    """A further version of each image that training sees, beside the first one.

    augment:    how it is changed, with draws of its own; None repeats the draws of the first.
    image_size: its side in pixels; None is that of the first.

    Images are mixed alike in all versions: with the same partner, by the same weight.
    """

    augment: Augment | None = None
    image_size: int | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None and self.image_size < 1:
            raise RecipeError(f"image_size={self.image_size}; give at least 1 pixel")
        if self.augment is not None and self.augment.mixing is not None:
            raise RecipeError("a view has mixing of its own; set it on the first version, for all")

    def repeats(self, preprocess: Preprocess) -> bool:
        """Returns whether it is the first version once more, whose input `preprocess` describes."""
        return self.augment is None and self.image_size in (None, preprocess.image_size)

    def check(self, first: Augment, preprocess: Preprocess) -> None:
        """Refuses what does not go with the first version and its input.

        Raises:
            RecipeError: its operations do not take the channels, or CutMix meets another size.
        """
        if self.augment is not None:
            self.augment.check(preprocess)
        other_size = self.image_size not in (None, preprocess.image_size)
        if other_size and first.mixing is not None and first.mixing.cutmix:
            raise RecipeError(
                f"cutmix={first.mixing.cutmix} with a view of {self.image_size} px beside "
                f"{preprocess.image_size} px, where a box would not be the same; use mixup"
            )
