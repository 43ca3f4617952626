"""What updates add up to: images, seconds and losses."""

from dataclasses import dataclass, field

from vertebra.engine.loop import Moment
from vertebra.records import Json


@dataclass
class Pace:
    """How fast updates went: what they took and handled, summed."""

    images: int = 0
    seconds: float = 0.0
    data_seconds: float = 0.0

    def add(self, moment: Moment) -> None:
        """Counts an update."""
        self.images += moment.update.images
        self.seconds += moment.seconds
        self.data_seconds += moment.data_seconds

    @property
    def images_per_second(self) -> float:
        """Images trained on in a second."""
        return self.images / self.seconds

    @property
    def data_wait_share(self) -> float:
        """Share of the time that was spent waiting for images."""
        return self.data_seconds / self.seconds


@dataclass
class Interval(Pace):
    """The updates since the last step event; `loss` and `parts` are sums over them."""

    updates: int = 0
    loss: float = 0.0
    parts: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, moment: Moment) -> None:
        """Counts an update."""
        super().add(moment)
        self.updates += 1
        self.loss += moment.update.loss
        for name, value in moment.update.parts.items():
            self.parts[name] = self.parts.get(name, 0.0) + value

    def means(self) -> dict[str, Json]:
        """Returns what a step event says of them."""
        return {
            "loss": self.loss / self.updates,
            "parts": {name: value / self.updates for name, value in self.parts.items()},
            "images_per_s": self.images_per_second,
            "data_wait": self.data_wait_share,
        }
