"""Wrong labels of a known rate, to study what learning bears.

Which labels are changed, and to what, depends on the seed and the images' names alone. Of one seed,
the labels that a lower rate changes are among those that a higher one does.

Source: Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels (2018),
section 4, for both patterns.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vertebra.data.images import Split
from vertebra.data.split import lot
from vertebra.errors import DataError, RecipeError


@dataclass(frozen=True, kw_only=True)
class LabelNoise:
    """Describes labels of which each is wrong with the chance `rate`.

    pattern: a wrong label is any other class with the same chance ("symmetric"), or always the next
             one ("pair"). Symmetric noise of rate (K - 1) / K leaves labels that say nothing.
    """

    rate: float = 0.2
    pattern: Literal["symmetric", "pair"] = "symmetric"

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise RecipeError(f"label noise rate={self.rate}; give a share from 0 to 1")

    def transition(self, classes: int) -> NDArray[np.float64]:
        """Returns [K, K], the chance that a label of the row's class becomes the column's."""
        same = np.eye(classes)
        wrong = np.roll(same, 1, axis=1) if self.pattern == "pair" else (1 - same) / (classes - 1)
        return (1 - self.rate) * same + self.rate * wrong

    def sample(self, split: Split, *, seed: int) -> Split:
        """Returns the same images, some of them with another class.

        Raises:
            DataError: there are not two classes.
        """
        classes = len(split.classes)
        if classes < 2:
            raise DataError(f"label noise needs two classes or more, and there are {classes}")
        draws = np.array([lot(name, seed, "label noise") for name in split.names], dtype=np.uint64)
        # in [0, 1): 53 bits are what a float64 holds, so that none rounds up to 1
        chances = (draws >> np.uint64(11)) / 2.0**53
        steps = np.ones_like(split.labels)
        if self.pattern == "symmetric":
            others = [lot(name, seed, "wrong label") % (classes - 1) for name in split.names]
            steps += np.array(others, dtype=np.int64)
        moved = (split.labels + steps) % classes
        return replace(split, labels=np.where(chances < self.rate, moved, split.labels))
