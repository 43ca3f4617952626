"""`vertebra train`."""

from dataclasses import dataclass

from vertebra.cli.training import TrainingFlags, train


@dataclass(frozen=True, kw_only=True)
class Arguments(TrainingFlags):
    """Train a classifier and leave a run directory with its weights, figures and report.

    Without arguments: a small ResNet-RS on handwritten digits. On your own images the recipe is
    fitted to their number and size; what was changed is printed. Part of the training images is
    held out to choose the weights; the test images are looked at once, at the end. Ctrl-C saves;
    `vertebra resume` goes on.
    """


def run(arguments: Arguments) -> int:
    """Trains; returns the exit code."""
    return train(arguments, command="train")
