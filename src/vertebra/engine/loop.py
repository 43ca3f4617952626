"""The one training loop: read `update` and you know everything that happens in a step.

Nothing in a step waits for the device. Its losses are read one update later, and only then do the
observers see it, so that they never see one whose loss is not finite.

It knows no model, no data set and no task; a new way to learn is a new `Method`.
"""

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vertebra.contracts import Batch, Losses, Method, Progress
from vertebra.engine.averaging import Average
from vertebra.engine.distributed import World
from vertebra.engine.execution import Execution
from vertebra.engine.memory_order import in_memory_order
from vertebra.engine.reading import Reading
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

    @cached_property
    def stepping(self) -> Callable[[], AbstractContextManager[None]]:
        """What makes the context of a step, see `Execution.stepping`."""
        return self.execution.stepping(self.method, self.device)

    def deployable(self) -> nn.Module:
        """Returns what is evaluated and handed on: the average, if there is one."""
        return self.method.deployable() if self.average is None else self.average.module


class Update(NamedTuple):
    """What an update did: mean loss and its parts over the batches, the rate used, images seen."""

    loss: float
    parts: dict[str, float]
    lr: float
    images: int


class Launched(NamedTuple):
    """An update that the host has asked for and the device may still be making.

    means: of "total" and of each part of the loss, in the order of `names`, over batches and
           processes.
    """

    names: tuple[str, ...]
    means: Reading
    lr: float
    images: int

    def read(self, done: Progress) -> Update:
        """Returns what the update did, `done.step` of the phase; waits for its losses alone.

        Raises:
            NonFiniteError: a loss is NaN or infinite.
        """
        values = dict(zip(self.names, self.means.values, strict=True))
        for name in reversed(self.names):  # a part explains more than the total
            if not math.isfinite(values[name]):
                raise NonFiniteError(
                    f"the loss part {name!r} is {values[name]} at step {done.step} of "
                    f"{done.steps}; nothing of that update was kept: lower the learning rate, "
                    f"lengthen the warm-up or clip gradients, then train again"
                )
        return Update(values.pop("total"), values, self.lr, self.images)


class Moment(NamedTuple):
    """What an observer sees after an update: where the run is, what the update did, its times.

    `step` counts over all phases, `epoch` and `progress` within this one. `seconds` are those that
    the host spent on the update: it prepared it and waited for its losses.
    """

    step: int
    epoch: float
    progress: Progress
    update: Update
    seconds: float
    data_seconds: float


class Observer(Protocol):
    """Looks at the run after each update: logs, evaluates, saves, stops."""

    def needs_weights(self, progress: Progress) -> bool:
        """Returns whether it has to see the weights as the update that led to `progress` left them.

        Is called once for each update, in every process, before `after_step`.
        """
        ...

    def after_step(self, moment: Moment) -> None:
        """Is called once for each update, in order, in every process, when its losses are known
        and finite: before the next update where an observer needs the weights, else after it."""
        ...


def train(
    training: Training, batches: Iterable[Batch], *, observers: Sequence[Observer], start: int = 0
) -> None:
    """Makes the updates from `start` to the end; `batches` begins with those of update `start`.

    Raises:
        NonFiniteError: a loss is NaN or infinite; no observer has seen that update or a later one.
    """
    forward = parallel_and_compiled(training)
    audience = _Audience(training, observers)
    training.method.train()
    # closed at once, as its workers would outlive an interrupted run by its traceback
    with closing(_Timed(iter(batches))) as stream:
        for step in range(start, training.steps):
            began = time.perf_counter()
            # the draws of dropout and its like depend on the step alone: a resumed run repeats them
            with seeded(training.seed, "step", step, training.world.rank, device=training.device):
                made = update(training, forward, stream, Progress(step, training.steps))
            done = Progress(step + 1, training.steps)
            audience.show(_Unseen(done, made, time.perf_counter() - began, stream.reset()))


def update(
    training: Training, forward: Forward, stream: Iterator[Batch], progress: Progress
) -> Launched:
    """Makes one update out of the next `accumulate` batches; never waits for the device."""
    seen: list[Losses] = []
    images = 0
    for micro in range(training.accumulate):
        batch = next(stream)
        is_last = micro == training.accumulate - 1
        with _exchange(forward, is_last=is_last), training.stepping():
            with training.execution.autocast(training.device):
                losses = forward(batch, progress)
            (losses.total / training.accumulate).backward()
        seen.append(Losses(losses.total.detach(), losses.parts))
        images += len(batch.images) * training.world.size
    names, means = _means(seen, training.world)
    if training.clip_norm is not None:
        nn.utils.clip_grad_norm_(training.method.parameters(), training.clip_norm)
    factor = training.schedule.factor(progress, training.steps_per_epoch)
    apply(training.optimizer, training.lr, factor)
    with in_memory_order(training.optimizer):
        training.optimizer.step()
    training.optimizer.zero_grad(set_to_none=True)
    if training.average is not None:
        training.average.update(training.method.deployable(), progress.step)
    # last: a target that follows the network must lag behind the update
    training.method.after_step(Progress(progress.step + 1, progress.steps))
    return Launched(names, means, training.lr * factor, images)


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


def _means(seen: list[Losses], world: World) -> tuple[tuple[str, ...], Reading]:
    """Returns the names of the total and of the parts, and their means in fp32.

    The copy to the host is queued before the optimizer's work, which it need not wait for.
    """
    rows = [torch.stack([each.total, *each.parts.values()]).float() for each in seen]
    means = world.total(torch.stack(rows).mean(0)) / world.size
    return ("total", *seen[0].parts), Reading(means)


class _Unseen(NamedTuple):
    """An update that no observer has seen, and the seconds that the host has spent on it."""

    progress: Progress
    made: Launched
    seconds: float
    data_seconds: float


class _Audience:
    """Shows each update to the observers when its losses are read.

    That is after the next update is launched: the device goes on from one to the other while the
    host reads, logs and prepares. Where an observer needs the weights it is at once.
    """

    def __init__(self, training: Training, observers: Sequence[Observer]) -> None:
        self._training = training
        self._observers = observers
        self._waiting: _Unseen | None = None

    def show(self, unseen: _Unseen) -> None:
        """Shows the update before this one; this one too, or keeps it until the next."""
        self._show_waiting()
        self._waiting = unseen
        # all are asked, as processes may agree there
        needed = [each.needs_weights(unseen.progress) for each in self._observers]
        if any(needed) or unseen.progress.step == unseen.progress.steps:
            self._show_waiting()

    def _show_waiting(self) -> None:
        if self._waiting is None:
            return
        (progress, made, seconds, data_seconds), self._waiting = self._waiting, None
        began = time.perf_counter()
        update = made.read(progress)
        moment = Moment(
            step=self._training.earlier_steps + progress.step,
            epoch=progress.step / self._training.steps_per_epoch,
            progress=progress,
            update=update,
            seconds=seconds + time.perf_counter() - began,
            data_seconds=data_seconds,
        )
        for observer in self._observers:
            observer.after_step(moment)


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
