"""A view that writes TensorBoard events and passes everything on to the view beside it."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from vertebra.engine.observers import View
from vertebra.errors import MissingExtra


class TensorBoardView:
    """Writes loss, rate, speed and figures into `directory`; close it by leaving its block.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """

    def __init__(self, directory: Path, *, beside: View) -> None:
        if find_spec("tensorboard") is None:
            raise MissingExtra(
                "TensorBoard is not installed; bring it with `pip install vertebra[tensorboard]`"
            )
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(directory))
        self._beside = beside

    def start(self, total_steps: int, steps_per_epoch: float) -> None:
        """Passes on."""
        self._beside.start(total_steps, steps_per_epoch)

    def step(
        self, step: int, *, loss: float, images_per_s: float, data_wait: float, lr: float
    ) -> None:
        """Writes an update's values."""
        values = {"loss": loss, "lr": lr, "images_per_s": images_per_s, "data_wait": data_wait}
        for name, value in values.items():
            self._writer.add_scalar(f"train/{name}", value, step)
        self._beside.step(step, loss=loss, images_per_s=images_per_s, data_wait=data_wait, lr=lr)

    def evaluation(self, step: int, *, split: str, figures: Mapping[str, float]) -> None:
        """Writes an evaluation's figures."""
        for name, value in figures.items():
            self._writer.add_scalar(f"{split}/{name}", value, step)
        self._beside.evaluation(step, split=split, figures=figures)

    def message(self, text: str) -> None:
        """Passes on."""
        self._beside.message(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
