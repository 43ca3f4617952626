"""A view that writes TensorBoard events and passes everything on to the view beside it."""

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from vertebra.engine.observers import View
from vertebra.errors import MissingExtra


class TensorBoardView:
    """Writes loss, rate, speed and figures into `directory` from `start` on, not before: a run
    begins in an empty folder. Leave its block to close it.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """

    def __init__(self, directory: Path, *, beside: View) -> None:
        if find_spec("tensorboard") is None:
            raise MissingExtra(
                "TensorBoard is not installed; bring it with `pip install vertebra[tensorboard]`"
            )
        from torch.utils.tensorboard import SummaryWriter

        self._open = partial(SummaryWriter, str(directory))
        self._writer: SummaryWriter | None = None
        self._beside = beside

    def start(self, total_steps: int, steps_per_epoch: float) -> None:
        """Opens the file of events."""
        self._writer = self._open()
        self._beside.start(total_steps, steps_per_epoch)

    def step(
        self, step: int, *, loss: float, images_per_s: float, data_wait: float, lr: float
    ) -> None:
        """Writes an update's values."""
        values = {"loss": loss, "lr": lr, "images_per_s": images_per_s, "data_wait": data_wait}
        self._write("train", values, step)
        self._beside.step(step, loss=loss, images_per_s=images_per_s, data_wait=data_wait, lr=lr)

    def evaluation(self, step: int, *, split: str, figures: Mapping[str, float]) -> None:
        """Writes an evaluation's figures."""
        self._write(split, figures, step)
        self._beside.evaluation(step, split=split, figures=figures)

    def message(self, text: str) -> None:
        """Passes on."""
        self._beside.message(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write(self, group: str, values: Mapping[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)
