"""Training and evaluation mode, of a module and each of its parts."""

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Generator[None]:
    """Has the module in evaluation mode; afterwards each part is in the mode in which it was."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        module.train(modes[module])  # a part may do more than note its mode
        for part, was_training in modes.items():
            part.training = was_training
