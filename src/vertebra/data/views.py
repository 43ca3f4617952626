"""Further versions of each image, for methods that compare several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from vertebra.data.augment import Augment
from vertebra.data.pixels import Pixels
from vertebra.data.preprocess import Preprocess
from vertebra.errors import RecipeError
from vertebra.seeding import Key, seed_of


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


class Version(NamedTuple):
    """One version of every picture; versions with the same keys have the same draws."""

    keys: tuple[Key, ...]
    augment: Augment
    preprocess: Preprocess

    def sample(self, pixels: Pixels, keys: tuple[Key, ...]) -> Pixels:
        """Returns this version of a picture whose draws depend on these keys, too."""
        torch.default_generator.manual_seed(seed_of(*keys, *self.keys))
        return self.augment.sample(pixels, self.preprocess)


def further(views: Sequence[View], preprocess: Preprocess) -> dict[int, View]:
    """Returns the views that have to be made, by their place; the others repeat the first."""
    return {place: view for place, view in enumerate(views) if not view.repeats(preprocess)}


def versions(augment: Augment, preprocess: Preprocess, views: Sequence[View]) -> list[Version]:
    """Returns the first version, and those that the views ask for beside it."""
    found = [Version((), augment, preprocess)]
    for place, view in further(views, preprocess).items():
        keys = () if view.augment is None else ("view", place)
        sized = replace(preprocess, image_size=view.image_size or preprocess.image_size)
        found.append(Version(keys, view.augment or augment, sized))
    return found
