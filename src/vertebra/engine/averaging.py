"""The moving average of a model over its updates: what ResNet-RS evaluates and publishes.

Source: Revisiting ResNets (Bello et al. 2021), with the decay and its ramp as in the released code.

Batch statistics are averaged once only. A batch norm keeps a running average of its own, and an
average of that average would lag twice. So the trained model's norms get momentum 1, which makes
their running statistics those of the last batch, and this average is the only one that smooths
them. The trained model is therefore not fit for evaluation by itself; the average is.
"""

# torch documents its foreach functions under these names only
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vertebra.errors import CheckpointError, RecipeError

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """Describes an exponential moving average.

    decay: share of the average that an update keeps; 0 copies the model, 1 freezes the average.
    ramp:  keep less early on, so that the average soon forgets the initial weights.
    """

    decay: float = 0.9999
    ramp: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay <= 1:
            raise RecipeError(f"Averaging decay={self.decay}; give a number from 0 to 1")

    def decay_at(self, step: int) -> float:
        """Returns the decay after t = `step` calls; on the ramp min(decay, (1 + t) / (10 + t))."""
        return min(self.decay, (1 + step) / (10 + step)) if self.ramp else self.decay

    def build(self, model: nn.Module) -> "Average":
        """Returns an average that begins as a copy; sets the model's batch norms to momentum 1."""
        average = Average(model, self)
        for module in model.modules():
            if isinstance(module, _BATCH_NORMS):
                module.momentum = 1.0
        return average


class Average:
    """The averaged copy of a model: `module`, in evaluation mode and without gradients.

    Parameters and floating buffers are averaged in their own dtype (keep them fp32: in half
    precision a step of 1e-4 rounds to nothing); other buffers, such as counters, are copied.
    """

    def __init__(self, model: nn.Module, spec: Averaging) -> None:
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self._spec = spec

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Moves the average towards `model`, which stays as it is, after `step` earlier calls."""
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        for mine, its in zip(_tensors(self.module), _tensors(model), strict=True):
            if mine.is_floating_point():
                averaged.append(mine)
                current.append(its)
            else:
                mine.copy_(its)
        torch._foreach_lerp_(averaged, current, 1 - self._spec.decay_at(step))

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the averaged tensors by name, those of `module`."""
        return self.module.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state_dict` gave.

        Raises:
            CheckpointError: the state is that of another model.
        """
        try:
            self.module.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                f"the saved average belongs to another model; resume with the recipe it was "
                f"saved under ({error})"
            ) from error


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
