"""What watches a run between two updates: it logs, selects the best weights, saves, and stops when
asked.

Order matters: the `Saver` comes last, so that a save holds all that was said before it.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal, Protocol

from vertebra.contracts import Progress
from vertebra.engine import checkpoint
from vertebra.engine.distributed import World
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.loop import Moment, Training
from vertebra.engine.memory import peak_memory_mb
from vertebra.engine.pace import Interval, Pace
from vertebra.engine.reading import Reading
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


class MemoryKeeper:
    """Has this process keep freed memory once the first update has made what stays, see
    `Execution.keep_memory`."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._keeps = False

    def needs_weights(self, progress: Progress) -> bool:
        """Waits for the first update that it sees."""
        return not self._keeps

    def after_step(self, moment: Moment) -> None:
        """Begins with it."""
        if not self._keeps:
            self._training.execution.keep_memory(self._training.device)
            self._keeps = True


class Logger:
    """Writes a step event at every `every`-th update and the last: means since the one before.
    Tells the view each update.

    pace: of all updates of the run, with those of earlier phases.
    """

    def __init__(
        self, training: Training, log: EventLog, view: View | None, *, every: int, pace: Pace
    ) -> None:
        self._training = training
        self._log = log
        self._view = view
        self._every = every
        self._interval = Interval()
        self.pace = pace

    def needs_weights(self, progress: Progress) -> bool:
        """It needs none."""
        del progress
        return False

    def after_step(self, moment: Moment) -> None:
        """Counts; writes when it is time."""
        self.pace.add(moment)
        self._interval.add(moment)
        if self._view is not None and self._training.world.leads:
            self._view.step(
                moment.step,
                loss=moment.update.loss,
                images_per_s=moment.update.images / moment.seconds,
                data_wait=moment.data_seconds / moment.seconds,
                lr=moment.update.lr,
            )
        if is_due(moment.progress, self._every):
            self._write(moment)

    def state(self) -> Json:
        """Returns the sums so far, also of an interval that is not full."""
        return {"pace": asdict(self.pace), "interval": asdict(self._interval)}

    def restore(self, state: Json) -> None:
        """Takes the sums of the run before it was interrupted."""
        self.pace = Pace(**state["pace"])
        self._interval = Interval(**state["interval"])

    def _write(self, moment: Moment) -> None:
        interval, self._interval = self._interval, Interval()
        if self._training.world.leads:
            memory_mb = peak_memory_mb(self._training.device)
            values = {**interval.means(), "lr": moment.update.lr, "memory_mb": memory_mb}
            _tell(self._log, "step", moment, values)


class Refusals:
    """Writes an event for each file that could not be read, in the process that met it.

    found: reasons by name; grows while batches are made.
    """

    def __init__(self, found: Mapping[str, str], log: EventLog, view: View | None) -> None:
        self._found = found
        self._log = log
        self._view = view
        self._told: set[str] = set()

    def needs_weights(self, progress: Progress) -> bool:
        """It needs none."""
        del progress
        return False

    def after_step(self, moment: Moment) -> None:
        """Tells of what is new."""
        for name in sorted(self._found.keys() - self._told):
            self._told.add(name)
            _tell(self._log, "refuse", moment, {"name": name, "reason": self._found[name]})
            if self._view is not None:
                self._view.message(f"{name} cannot be read, another image takes its place")


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

    def needs_weights(self, progress: Progress) -> bool:
        """It does when it evaluates."""
        return is_due(progress, self._every)

    def after_step(self, moment: Moment) -> None:
        """Evaluates when it is time."""
        if not is_due(moment.progress, self._every):
            return
        figures = dict(self._evaluate())
        if not self._training.world.leads:
            return
        _tell(self._log, "evaluate", moment, {"split": "minival", "figures": figures})
        if self._view is not None:
            self._view.evaluation(moment.step, split="minival", figures=figures)
        if self._is_kept(figures):
            self.best_step, self.best = moment.step, figures
            weights = self._training.deployable().state_dict()
            checkpoint.save(self._directory, tensors={"model": weights}, state=self.state())
            _tell(self._log, "save", moment, {"kind": "best"})

    def state(self) -> Json:
        """Returns which step is kept, its figures, and the highest top1 seen."""
        return {"best_step": self.best_step, "best": self.best, "highest": self._highest}

    def restore(self, state: Json) -> None:
        """Takes what was selected before the run was interrupted."""
        self.best_step, self.best = state["best_step"], dict(state["best"])
        self._highest = state["highest"]

    def _is_kept(self, figures: Mapping[str, float]) -> bool:
        if self._keep == "last":
            return True
        self._highest = max(self._highest, figures["top1"])
        slack = standard_error(self._highest, figures["top1"], int(figures["n"]))
        return figures["top1"] >= self._highest - slack


def is_due(done: Progress, every: int) -> bool:
    """Returns whether the latest is an `every`-th update of the phase, or its last."""
    return done.step % every == 0 or done.step == done.steps


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
        log: EventLog,
        world: World,
        seconds: float = 60.0,
    ) -> None:
        self._save = save
        self._interrupts = interrupts
        self._log = log
        self._world = world
        self._seconds = seconds
        self._saved_at = time.monotonic()
        self._saves = False
        self._wish: Reading | None = None

    def needs_weights(self, progress: Progress) -> bool:
        """Returns whether it saves; all processes decide the same.

        Of several each acts on what was wished an update before: nobody waits to hear the others.
        """
        is_last = progress.step == progress.steps
        has_signal = self._interrupts.asked is not None
        is_time = self._world.leads and time.monotonic() - self._saved_at >= self._seconds
        wish = self._world.ask(has_signal or is_time)
        heard, self._wish = (wish if self._world.size == 1 else self._wish), wish
        self._saves = is_last or (heard is not None and any(heard.values))
        return self._saves

    def after_step(self, moment: Moment) -> None:
        """Saves if it has decided to; all processes agree on stopping then."""
        if not self._saves:
            return
        if self._world.leads:
            self._save(moment.progress.step)
            self._saved_at = time.monotonic()
            _tell(self._log, "save", moment, {"kind": "last"})
        self._wish = None  # it has come true
        if self._world.any(self._interrupts.asked is not None):
            self._world.wait()
            together = f" --devices {self._world.size}" if self._world.size > 1 else ""
            raise Interrupted(
                f"stopped by {self._interrupts.asked or 'a signal'} after step {moment.step}, "
                f"saved; continue with `vertebra resume {self._log.path.parent}{together}`"
            )


def _tell(log: EventLog, event: str, moment: Moment, values: Mapping[str, Json]) -> None:
    log.append(event, step=moment.step, epoch=moment.epoch, values=values)
