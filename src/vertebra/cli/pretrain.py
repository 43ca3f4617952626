"""`vertebra pretrain`."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.cli.training import TrainingFlags, train


@dataclass(frozen=True, kw_only=True)
class Arguments(TrainingFlags):
    """Train a backbone on images without labels, so that few labels are enough afterwards.

    Use it when you have many more images than labels, of a kind that published weights have not
    seen. It wants 100 epochs and more, of two or three times the cost of supervised ones. What it
    leaves is for `vertebra probe RUN DATA` and `vertebra train DATA --weights RUN`. Where DATA has
    classes, a linear probe learns them beside the backbone, which does not see them, and is what is
    reported; else the spread of the vectors is, which falls towards 0 where they become the same.

    byol: Bootstrap Your Own Latent (2020), also with small batches. simclr: A Simple Framework for
    Contrastive Learning of Visual Representations (2020), for comparison.
    """

    data: Annotated[Positional[str | None], shown("[DATA]")] = None
    """A folder of images in any order, or any data set that `vertebra train` takes. Nothing means
    digits."""
    method: Annotated[Literal["byol", "simclr"] | None, shown()] = None
    """How to learn; default is what the recipe says, else byol."""

    @property
    def recipe_name(self) -> str:
        """The recipe that is asked for, or the default for what else is said."""
        if self.recipe is not None:
            return self.recipe
        return (
            "digits"
            if self.data in (None, "digits")
            else f"{self.method or self.usual_method}-small"
        )

    @property
    def usual_method(self) -> Literal["byol"]:
        """How to learn if nothing is said."""
        return "byol"


def run(arguments: Arguments) -> int:
    """Pretrains; returns the exit code."""
    if arguments.method is None and not _needs_no_labels(arguments):
        arguments = replace(arguments, method=arguments.usual_method)
    return train(arguments, command="pretrain")


def _needs_no_labels(arguments: Arguments) -> bool:
    """Returns whether the recipe is one for pretraining already."""
    from vertebra.recipes.shelf import load

    return not load(arguments.recipe_name).phases[-1].method.needs_labels
