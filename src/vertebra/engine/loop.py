"""The one training loop: read `update` and you know everything that happens in a step.

It knows no model, no data set and no task; a new way to learn is a new `Method`.
"""

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vertebra.contracts import Batch, Losses, Method, Progress
from vertebra.engine.averaging import Average
from vertebra.engine.distributed import World
from vertebra.engine.execution import Execution
from vertebra.engine.schedules import ScheduleSpec, apply
from vertebra.errors import NonFiniteError
from vertebra.seeding import seeded

Forward = Callable[[Batch, Progress], Losses]


@dataclass(frozen=True, kw_only=True)
class Training:
    """All that a phase of training is made of.

    lr:            the peak rate, which the schedule's factor multiplies.
    accumulate:    batches in an update.
    earlier_steps: updates made by the phases before this one.
    """

    method: Method
    optimizer: torch.optim.Optimizer
    schedule: ScheduleSpec
    lr: float
    steps: int
    steps_per_epoch: float
    device: torch.device
    execution: Execution = field(default_factory=Execution)
    accumulate: int = 1
    clip_norm: float | None = None
    average: Average | None = None
    world: World = field(default_factory=World)
    seed: int = 0
    earlier_steps: int = 0

    def deployable(self) -> nn.Module:
        """Returns what is evaluated and handed on: the average, if there is one."""
        return self.method.deployable() if self.average is None else self.average.module


class Update(NamedTuple):
    """What an update did: mean loss and its parts over the batches, the rate used, images seen."""

    loss: float
    parts: dict[str, float]
    lr: float
    images: int


class Moment(NamedTuple):
    """What an observer sees after an update: where the run is, what the update did, its times.

    `step` counts over all phases, `epoch` and `progress` within this one.
    """

    step: int
    epoch: float
    progress: Progress
    update: Update
    seconds: float
    data_seconds: float


class Observer(Protocol):
    """Looks at the run after each update: logs, evaluates, saves, stops."""

    def after_step(self, moment: Moment) -> None:
        """Is called once for each update, in every process."""
        ...


def train(
    training: Training, batches: Iterable[Batch], *, observers: Sequence[Observer], start: int = 0
) -> None:
    """Makes the updates from `start` to the end; `batches` begins with those of update `start`.

    Raises:
        NonFiniteError: a loss is NaN or infinite; that update was not made.
    """
    forward = parallel_and_compiled(training)
    training.method.train()
    # closed at once, as its workers would outlive an interrupted run by its traceback
    with closing(_Timed(iter(batches))) as stream:
        for step in range(start, training.steps):
            began = time.perf_counter()
            # the draws of dropout and its like depend on the step alone: a resumed run repeats them
            with seeded(training.seed, "step", step, training.world.rank, device=training.device):
                made = update(training, forward, stream, Progress(step, training.steps))
            done = Progress(step + 1, training.steps)
            seconds = time.perf_counter() - began
            moment = Moment(
                step=training.earlier_steps + done.step,
                epoch=done.step / training.steps_per_epoch,
                progress=done,
                update=made,
                seconds=seconds,
                data_seconds=stream.reset(),
            )
            for observer in observers:
                observer.after_step(moment)


def update(
    training: Training, forward: Forward, stream: Iterator[Batch], progress: Progress
) -> Update:
    """Makes one update out of the next `accumulate` batches."""
    seen: list[Losses] = []
    images = 0
    for micro in range(training.accumulate):
        batch = next(stream)
        with _exchange(forward, is_last=micro == training.accumulate - 1):
            with training.execution.autocast(training.device):
                losses = forward(batch, progress)
            (losses.total / training.accumulate).backward()
        seen.append(Losses(losses.total.detach(), losses.parts))
        images += len(batch.images) * training.world.size
    loss, parts = _finite_means(seen, progress, training.world)
    if training.clip_norm is not None:
        nn.utils.clip_grad_norm_(training.method.parameters(), training.clip_norm)
    factor = training.schedule.factor(progress, training.steps_per_epoch)
    apply(training.optimizer, training.lr, factor)
    training.optimizer.step()
    training.optimizer.zero_grad(set_to_none=True)
    if training.average is not None:
        training.average.update(training.method.deployable(), progress.step)
    # last: a target that follows the network must lag behind the update
    training.method.after_step(Progress(progress.step + 1, progress.steps))
    return Update(loss, parts, training.lr * factor, images)


def parallel_and_compiled(training: Training) -> Forward:
    """Returns the method as it is called in a step: wrapped once for data parallelism, compiled
    once."""
    forward: nn.Module = training.method
    if training.world.size > 1:
        ids = [training.device.index] if training.device.type == "cuda" else None
        forward = DistributedDataParallel(forward, device_ids=ids)
    if training.execution.compile:
        forward.compile()
    return forward


def _exchange(forward: Forward, *, is_last: bool) -> AbstractContextManager[Any]:
    """Processes exchange gradients once an update, after its last batch."""
    if isinstance(forward, DistributedDataParallel) and not is_last:
        return forward.no_sync()
    return nullcontext()


def _finite_means(
    seen: list[Losses], progress: Progress, world: World
) -> tuple[float, dict[str, float]]:
    """Returns the mean loss and parts, read on the host: the step's one sync with the device."""
    names = ["total", *seen[0].parts]
    rows = [torch.stack([each.total, *each.parts.values()]).float() for each in seen]
    means = world.total(torch.stack(rows).mean(0)) / world.size
    values = dict(zip(names, means.tolist(), strict=True))
    for name in reversed(names):  # a part explains more than the total
        if not math.isfinite(values[name]):
            raise NonFiniteError(
                f"the loss part {name!r} is {values[name]} at step {progress.step + 1} of "
                f"{progress.steps}; the update was not made: lower the learning rate, lengthen the "
                f"warm-up or clip gradients, then train again"
            )
    return values.pop("total"), values


class _Timed(Iterator[Batch]):
    """Passes batches on and sums the seconds that were spent waiting for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._seconds = 0.0

    def __next__(self) -> Batch:
        began = time.perf_counter()
        batch = next(self._batches)
        self._seconds += time.perf_counter() - began
        return batch

    def reset(self) -> float:
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def close(self) -> None:
        if isinstance(self._batches, Generator):
            self._batches.close()
