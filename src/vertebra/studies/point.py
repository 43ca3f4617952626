"""A record of any kind as a point: an accuracy, costs, and the conditions each was found under."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vertebra.recipes.recipe import Recipe
from vertebra.report.measured import Measured
from vertebra.report.quantities import number_of
from vertebra.studies.statistics import Interval


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run, a row of a study, or a model that was measured.

    conditions: by the name of a quantity, "top1" among them; what has none, as multiply-adds, is
                the same everywhere.
    runs:       that the accuracy is the mean of; 0 where it is a paper's.
    recipe:     of what was trained, with the outputs of its head, to be timed.
    run:        its directory.
    """

    measured: Measured
    conditions: Mapping[str, str] = field(default_factory=dict[str, str])
    runs: int = 0
    recipe: Recipe | None = None
    classes: int = 0
    run: Path | None = None

    def figure(self, name: str) -> float | None:
        """Returns a figure as its record has it."""
        return self.measured.figure(name)

    @property
    def top1(self) -> float | Interval | None:
        """The accuracy, with its interval where it is a mean."""
        mean, half = self.measured.top1, self.measured.half
        return mean if mean is None or half is None else Interval(mean, half, self.runs)

    def completed(
        self, figures: Mapping[str, float | None], conditions: Mapping[str, str]
    ) -> "Point":
        """Returns the point with figures that it lacks, and their conditions."""
        ours = {name: value for name, value in self.measured.figures.items() if value is not None}
        return replace(
            self,
            measured=replace(self.measured, figures={**figures, **ours}),
            conditions={**conditions, **self.conditions},
        )

    def named(self, name: str) -> "Point":
        """Returns the point under another name."""
        return replace(self, measured=replace(self.measured, name=name))


def timed_under(device: str, threads: int | None, *, images: int = 1) -> str:
    """Returns the conditions of a latency in words: "cpu: x86_64, 2 threads, 1 image a call"."""
    return f"{on(device, threads)}, {number_of(images, 'image')} a call"


def on(device: str, threads: int | None) -> str:
    """Returns where something was computed; a CPU with its threads."""
    if kind_of(device) != "cpu" or threads is None:
        return device
    return f"{device}, {number_of(threads, 'thread')}"


def kind_of(device: str) -> str:
    """Returns "cuda" of "cuda: NVIDIA H100"."""
    return device.partition(":")[0]
