"""What a user gives beside a recipe and the name of a method."""

from typing import NamedTuple

from vertebra.data.patches import Patches
from vertebra.data.unlabelled import Unlabelled
from vertebra.errors import RecipeError


class Wishes(NamedTuple):
    """What a method may need.

    teachers:   run directories.
    unlabelled: images to learn from beside the labelled ones.
    learn_from: images to learn from in their place.
    """

    teachers: tuple[str, ...] = ()
    unlabelled: Unlabelled | None = None
    learn_from: Unlabelled | Patches | None = None

    def refuse_all_but(self, method: str, *wanted: str) -> None:
        """Refuses what the method has no use for.

        Raises:
            RecipeError: something was given in vain; the message says what.
        """
        given = [name for name, value in self._asdict().items() if value and name not in wanted]
        if given:
            flag = FLAGS[given[0]]
            raise RecipeError(f"{flag} is of no use to the method {method}; leave it out")


FLAGS = {"teachers": "--teacher", "unlabelled": "--unlabelled", "learn_from": "--from"}
"""Field -> the flag that gives it."""
