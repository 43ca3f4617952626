"""A model that was measured, as tables and plots show it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vertebra.report.quantities import NOTHING, thousands


class Quantity(NamedTuple):
    """What a figure is called, in which unit, and by what it is multiplied to be in it.

    is_count: its unit is the thousand-step one that suits the figures beside it.
    """

    title: str
    unit: str = ""
    factor: float = 1.0
    is_count: bool = False

    @property
    def label(self) -> str:
        """Title and unit, as at an axis."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def suited(self, figures: Iterable[float | None]) -> "Quantity":
        """Returns the quantity in the unit that suits the largest of the figures."""
        if not self.is_count:
            return self
        size, unit = thousands(max((each for each in figures if each is not None), default=0.0))
        return self._replace(unit=unit, factor=1 / size)

    def said(self, figure: float | None) -> str:
        """Returns a figure in this unit, four digits of it."""
        if figure is None:
            return NOTHING
        number = figure * self.factor
        return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


QUANTITIES: Mapping[str, Quantity] = {
    "latency_ms": Quantity("latency", "ms"),
    "latency_p95_ms": Quantity("95th percentile", "ms"),
    "latency_ratio": Quantity("latency ratio", ""),
    "images_per_s": Quantity("throughput", "images/s"),
    "best_batch_size": Quantity("best batch", ""),
    "image_ms": Quantity("time an image at the best batch", "ms"),
    "parameters": Quantity("parameters", is_count=True),
    "macs": Quantity("MACs", is_count=True),
    "macs_convolution": Quantity("of convolutions", is_count=True),
    "macs_depthwise": Quantity("depthwise", is_count=True),
    "macs_linear": Quantity("linear", is_count=True),
    "macs_matmul": Quantity("matmul", is_count=True),
    "activations": Quantity("activations", is_count=True),
    "inference_memory_mb": Quantity("inference memory", "MB"),
    "training_memory_mb": Quantity("training memory", "MB"),
    "peak_memory_mb": Quantity("memory of the run", "MB"),
    "train_seconds": Quantity("time in training", "min", 1 / 60),
}
"""The figures of a measurement or a run, by the names that its records give them."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A model with its figures; what was not measured is None.

    family: models of one colour in a plot.
    figures: by the names of `QUANTITIES`; others are not shown.
    top1:    accuracy in [0, 1] at this image size; half: of its interval, where it is a mean.
    origin:  of the accuracy, as "published"; source: the paper that prints it.
    failure: why it was not measured, or not to the end.
    """

    name: str
    image_size: int
    family: str
    figures: Mapping[str, float | None]
    top1: float | None = None
    half: float | None = None
    origin: str = "published"
    source: str | None = None
    failure: str | None = None

    def figure(self, name: str) -> float | None:
        """Returns a figure as its record has it; the time of an image is that at the best batch."""
        if name == "image_ms":
            rate = self.figures.get("images_per_s")
            return 1000 / rate if rate else None
        return self.figures.get(name)


def column(name: str, measured: Iterable[Measured]) -> Quantity:
    """Returns one of `QUANTITIES` as it suits the figures of these models."""
    return QUANTITIES[name].suited([each.figure(name) for each in measured])


def known(measured: Sequence[Measured], names: Sequence[str]) -> list[str]:
    """Returns those of some quantities that any model has."""
    return [name for name in names if any(each.figure(name) is not None for each in measured)]
