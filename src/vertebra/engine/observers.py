"""What watches a run between two updates: it logs, selects the best weights, saves, and stops when
asked.

Order matters: `Logger`, then `Selector`, then `Saver`, so that a save holds all that was said
               before it.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from vertebra.engine import checkpoint
from vertebra.engine.distributed import World
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.loop import Moment, Training
from vertebra.engine.memory import peak_memory_mb
from vertebra.errors import Interrupted
from vertebra.records import EventLog, Json


class View(Protocol):
    """What shows a run to a person while it goes on."""

    def start(self, total_steps: int, steps_per_epoch: float) -> None:
        """Is told once, before the first update, how long the run is."""
        ...

    def step(
        self, step: int, *, loss: float, images_per_s: float, data_wait: float, lr: float
    ) -> None:
        """Is told of each update."""
        ...

    def evaluation(self, step: int, *, split: str, figures: Mapping[str, float]) -> None:
        """Is told of each evaluation."""
        ...

    def message(self, text: str) -> None:
        """Is told what a person should know."""
        ...


class Logger:
    """Writes a step event every `every` updates: means since the one before; tells the view each
    update."""

    def __init__(self, training: Training, log: EventLog, view: View | None, *, every: int) -> None:
        self._training = training
        self._log = log
        self._view = view
        self._every = every
        self._pending: list[Moment] = []
        self.images = 0
        self.seconds = 0.0
        self.data_seconds = 0.0

    def after_step(self, moment: Moment) -> None:
        """Counts; writes when the interval is full or the run ends."""
        self.images += moment.update.images
        self.seconds += moment.seconds
        self.data_seconds += moment.data_seconds
        if not self._training.world.leads:
            return
        self._pending.append(moment)
        if self._view is not None:
            self._view.step(
                moment.step,
                loss=moment.update.loss,
                images_per_s=moment.update.images / moment.seconds,
                data_wait=moment.data_seconds / moment.seconds,
                lr=moment.update.lr,
            )
        if len(self._pending) >= self._every or moment.progress.step == moment.progress.steps:
            self._write()

    def state(self) -> Json:
        """Returns the totals so far."""
        return {"images": self.images, "seconds": self.seconds, "data_seconds": self.data_seconds}

    def restore(self, state: Json) -> None:
        """Takes the totals of the run before it was interrupted."""
        self.images = state["images"]
        self.seconds = state["seconds"]
        self.data_seconds = state["data_seconds"]

    def _write(self) -> None:
        last, count = self._pending[-1], len(self._pending)
        seconds = sum(each.seconds for each in self._pending)
        parts = {
            name: sum(each.update.parts[name] for each in self._pending) / count
            for name in last.update.parts
        }
        self._log.append(
            "step",
            step=last.step,
            epoch=last.epoch,
            values={
                "loss": sum(each.update.loss for each in self._pending) / count,
                "parts": parts,
                "lr": last.update.lr,
                "images_per_s": sum(each.update.images for each in self._pending) / seconds,
                "data_wait": sum(each.data_seconds for each in self._pending) / seconds,
                "memory_mb": peak_memory_mb(self._training.device),
            },
        )
        self._pending.clear()


class Selector:
    """Evaluates every `every` updates and at the end, and keeps weights under `directory`.

    Keeps the latest weights whose top1 is no worse than the highest seen by more than the standard
    error of the difference: on a small split a lucky early evaluation must not beat the end of
    training by one image. With `keep` "last" each evaluation replaces the one before.
    """

    def __init__(
        self,
        training: Training,
        evaluate: Callable[[], Mapping[str, float]],
        *,
        directory: Path,
        log: EventLog,
        view: View | None,
        every: int,
        keep: Literal["best", "last"],
    ) -> None:
        self._training = training
        self._evaluate = evaluate
        self._directory = directory
        self._log = log
        self._view = view
        self._every = every
        self._keep = keep
        self._highest = 0.0
        self.best_step = 0
        self.best: dict[str, float] = {}

    def after_step(self, moment: Moment) -> None:
        """Evaluates when it is time."""
        is_last = moment.progress.step == moment.progress.steps
        if moment.progress.step % self._every and not is_last:
            return
        figures = dict(self._evaluate())
        if not self._training.world.leads:
            return
        values = {"split": "minival", "figures": figures}
        self._log.append("evaluate", step=moment.step, epoch=moment.epoch, values=values)
        if self._view is not None:
            self._view.evaluation(moment.step, split="minival", figures=figures)
        if self._is_kept(figures):
            self.best_step, self.best = moment.step, figures
            weights = self._training.deployable().state_dict()
            checkpoint.save(self._directory, tensors={"model": weights}, state=self.state())

    def state(self) -> Json:
        """Returns which step is kept, its figures, and the highest top1 seen."""
        return {"best_step": self.best_step, "best": self.best, "highest": self._highest}

    def restore(self, state: Json) -> None:
        """Takes what was selected before the run was interrupted."""
        self.best_step, self.best = state["best_step"], dict(state["best"])
        self._highest = state["highest"]

    def _is_kept(self, figures: Mapping[str, float]) -> bool:
        self._highest = max(self._highest, figures["top1"])
        slack = standard_error(self._highest, figures["top1"], int(figures["n"]))
        return self._keep == "last" or figures["top1"] >= self._highest - slack


def standard_error(first: float, second: float, n: int) -> float:
    """Returns that of the difference of two shares of `n` images, one success and failure added."""
    pooled = ((first + second) / 2 * n + 1) / (n + 2)
    return math.sqrt(2 * pooled * (1 - pooled) / n)


class Saver:
    """Saves everything needed to continue: every `seconds`, when a signal asks to stop, and at the
    end.

    Raises:
        Interrupted: a signal arrived; the state is saved.
    """

    def __init__(
        self,
        save: Callable[[int], None],
        interrupts: Interrupts,
        *,
        directory: Path,
        world: World,
        seconds: float = 60.0,
    ) -> None:
        self._save = save
        self._interrupts = interrupts
        self._directory = directory
        self._world = world
        self._seconds = seconds
        self._saved_at = time.monotonic()

    def after_step(self, moment: Moment) -> None:
        """Saves when it is time; all processes agree on stopping at the same step."""
        is_last = moment.progress.step == moment.progress.steps
        stops = self._world.any(self._interrupts.asked is not None)
        is_due = time.monotonic() - self._saved_at >= self._seconds
        if self._world.leads and (stops or is_due or is_last):
            self._save(moment.progress.step)
            self._saved_at = time.monotonic()
        if stops:
            self._world.wait()
            raise Interrupted(
                f"stopped by {self._interrupts.asked or 'a signal'} after step {moment.step}, "
                f"saved; continue with `vertebra resume {self._directory}`"
            )
