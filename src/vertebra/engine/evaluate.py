"""Evaluation: a module in eval mode over every sample of a split, exactly once."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vertebra.contracts import Batch, Outputs
from vertebra.engine.distributed import World
from vertebra.engine.execution import Execution
from vertebra.layers.modes import evaluating


class SummedMetric(Protocol[Outputs]):
    """A metric whose state is named sums, so that those of several processes add up."""

    sums: dict[str, Tensor]

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch."""
        ...


def evaluate(
    module: nn.Module,
    batches: Iterable[Batch],
    metric: SummedMetric[Any],
    *,
    device: torch.device,
    execution: Execution,
    world: World | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> None:
    """Fills `metric` with the module's outputs on all batches; sums over the processes of `world`.

    Each part's mode is put back afterwards. `on_batch` is told the number of images done.
    """
    if world is not None:
        world.align(module)
    with evaluating(module), torch.inference_mode(), execution.autocast(device):
        for batch in batches:
            metric.update(module(batch.images), batch)
            if on_batch is not None:
                on_batch(len(batch.images))
    if world is not None:
        for name, value in metric.sums.items():
            metric.sums[name] = world.total(value)
