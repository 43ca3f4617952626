"""A clock that only works move, and small networks to measure."""

from collections.abc import Callable

from torch import nn

from vertebra.bench.settings import BenchSettings
from vertebra.bench.work import Subject

QUICK = BenchSettings(budget_s=0.01)


class Clock:
    """Time that stands still but for `spend`."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> Callable[[], None]:
        """Returns a work that takes so long."""

        def work() -> None:
            self.now += seconds

        return work


def small_net(channels: int = 4) -> nn.Module:
    """A convolution, a norm, and a linear layer on the mean: images [N, 3, H, W] -> [N, 5]."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 5),
    )


def subject(name: str = "small", *, channels: int = 4, image_size: int = 8) -> Subject:
    return Subject(name=name, image_size=image_size, build=lambda: small_net(channels))


def failing(name: str, error: Exception) -> Subject:
    """A model that fails when it is built."""

    def build() -> nn.Module:
        raise error

    return Subject(name=name, image_size=8, build=build)
