"""A model that was measured, as tables and plots show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vertebra.report.quantities import NOTHING


class Quantity(NamedTuple):
    """What a figure is called, in which unit, and by what it is multiplied to be in it."""

    title: str
    unit: str
    factor: float = 1.0

    @property
    def label(self) -> str:
        """Title and unit, as at an axis."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


QUANTITIES: Mapping[str, Quantity] = {
    "latency_ms": Quantity("latency", "ms"),
    "latency_p95_ms": Quantity("95th percentile", "ms"),
    "latency_ratio": Quantity("latency ratio", ""),
    "images_per_s": Quantity("throughput", "images/s"),
    "best_batch_size": Quantity("best batch", ""),
    "image_ms": Quantity("time an image at the best batch", "ms"),
    "parameters": Quantity("parameters", "M", 1e-6),
    "macs": Quantity("MACs", "G", 1e-9),
    "macs_convolution": Quantity("of convolutions", "G", 1e-9),
    "macs_depthwise": Quantity("depthwise", "G", 1e-9),
    "macs_linear": Quantity("linear", "G", 1e-9),
    "macs_matmul": Quantity("matmul", "G", 1e-9),
    "activations": Quantity("activations", "M", 1e-6),
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

    def value(self, name: str) -> float | None:
        """Returns a figure in the unit of its quantity."""
        if name == "image_ms":
            rate = self.figures.get("images_per_s")
            return 1000 / rate if rate else None
        number = self.figures.get(name)
        return None if number is None else number * QUANTITIES[name].factor

    def text(self, name: str) -> str:
        """Returns a figure in the unit of its quantity, four digits of it."""
        number = self.value(name)
        if number is None:
            return NOTHING
        return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def known(measured: Sequence[Measured], names: Sequence[str]) -> list[str]:
    """Returns those of some quantities that any model has."""
    return [name for name in names if any(each.value(name) is not None for each in measured)]
