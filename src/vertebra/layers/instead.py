"""Methods of single modules that are others for a while."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def instead(
    name: str, others: Sequence[tuple[nn.Module, Callable[..., Tensor]]]
) -> Generator[None]:
    """Has each module go its other way within, in place of its class's method of this name."""
    for module, other in others:
        vars(module)[name] = other
    try:
        yield
    finally:
        for module, _ in others:
            vars(module).pop(name, None)
