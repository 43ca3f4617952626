"""A network without batch statistics, drawn batches, and a training of the two."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vertebra.contracts import Batch, Losses, Method, Progress
from vertebra.engine.loop import Moment, Observer, Training, Update, train
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Constant

CPU = torch.device("cpu")
K = 3


class Plain(Method):
    """Cross-entropy of a small perceptron, in two parts of which one may be made to fail."""

    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(8, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, K)
        )

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        fit = nn.functional.cross_entropy(self.model(batch.images), batch.targets)
        small = 0.01 * self.model[0].weight.square().sum()
        return Losses(fit + small, {"fit": fit.detach(), "small": small.detach()})

    def deployable(self) -> nn.Module:
        return self.model


class Close:
    """An observer that needs the weights after each update."""

    def needs_weights(self, progress: Progress) -> bool:
        return True

    def after_step(self, moment: Moment) -> None: ...


class Watcher:
    """Keeps every moment it is shown, and leaves it to others when that is."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def needs_weights(self, progress: Progress) -> bool:
        return False

    def after_step(self, moment: Moment) -> None:
        self.moments.append(moment)


def drawn_batches(count: int, size: int, *, start: int = 0) -> list[Batch]:
    """Returns `count` batches of `size`; image number n is the same however they are cut."""
    draw = torch.Generator().manual_seed(1)
    images = torch.randn(4096, 8, generator=draw)
    targets = torch.randint(K, (4096,), generator=draw)
    places = (range((start + n) * size, (start + n + 1) * size) for n in range(count))
    return [Batch(images[at], targets[at], torch.tensor(at)) for at in map(list, places)]


def plain_training(steps: int, *, dropout: float = 0.0, **changes: Any) -> Training:
    """Returns `steps` of SGD with momentum on `Plain`, the same weights each time."""
    torch.manual_seed(0)
    method = changes.pop("method", None) or Plain(dropout=dropout)
    training = Training(
        method=method,
        optimizer=SGD(lr=0.1).build(method.parameter_groups(), CPU),
        schedule=Constant(),
        lr=0.1,
        steps=steps,
        steps_per_epoch=4,
        device=CPU,
    )
    return replace(training, **changes)


def trained(
    training: Training, batches: Sequence[Batch], *others: Observer, start: int = 0
) -> list[Moment]:
    """Trains, and returns what an observer was shown."""
    watcher = Watcher()
    train(training, batches, observers=[watcher, *others], start=start)
    return watcher.moments


def show(observer: Observer, moment: Moment) -> bool:
    """Shows it a moment as the loop does; returns whether it needed the weights."""
    needed = observer.needs_weights(moment.progress)
    observer.after_step(moment)
    return needed


def moment(step: int, steps: int, *, loss: float = 1.0, seconds: float = 0.5) -> Moment:
    """Returns the moment after update `step` of `steps`, four of which are an epoch."""
    made = Update(loss, {"fit": loss / 2}, lr=0.1, images=8)
    return Moment(step, step / 4, Progress(step, steps), made, seconds, seconds / 5)
