"""The state of a training as named tensors and plain numbers: what a checkpoint holds, what
resuming takes."""

from collections.abc import Mapping

from torch import Tensor

from vertebra.engine.checkpoint import flatten_optimizer, restore_optimizer
from vertebra.engine.loop import Training
from vertebra.errors import CheckpointError
from vertebra.records import Json


def collect(training: Training) -> tuple[dict[str, Mapping[str, Tensor]], Json]:
    """Returns the tensors of method, optimizer and average, and the optimizer's numbers."""
    moments, numbers = flatten_optimizer(training.optimizer)
    tensors: dict[str, Mapping[str, Tensor]] = {
        "method": training.method.state_dict(),
        "optimizer": moments,
    }
    if training.average is not None:
        tensors["average"] = training.average.state_dict()
    return tensors, numbers


def restore(training: Training, tensors: Mapping[str, Mapping[str, Tensor]], numbers: Json) -> None:
    """Puts what `collect` returned into a training built from the same recipe.

    Raises:
        CheckpointError: the state is that of another training.
    """
    try:
        training.method.load_state_dict(tensors["method"])
        restore_optimizer(training.optimizer, tensors["optimizer"], numbers)
        if training.average is not None:
            training.average.load_state_dict(tensors["average"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"the saved state belongs to another model or method; resume with the recipe it was "
            f"saved under ({error})"
        ) from error


def size_bytes(tensors: Mapping[str, Mapping[str, Tensor]]) -> int:
    """Returns what the tensors take on disk."""
    return sum(each.nbytes for group in tensors.values() for each in group.values())
