"""How far a run is: a live bar in a terminal, a plain line now and then anywhere else."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from vertebra.report import quantities as say

Clock = Callable[[], float]
_REFRESHES_A_SECOND = 4


class TrainingProgress:
    """Shows a training loop to a person; `with` stops it whatever happens.

    interval_s: seconds between plain lines; an evaluation gets a line of its own.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        interval_s: float = 10.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._console = console or Console()
        self._interval_s = interval_s
        self._clock = clock
        self._steps_per_epoch = 1.0
        self._eta = _Eta(0, clock)
        self._said_at = clock()
        self._loss = self._figures = self._speed = ""
        self._live: _Live | None = None

    def start(self, total_steps: int, steps_per_epoch: float) -> None:
        """Shows the empty bar; what is left is reckoned from the first step on, resumed or not."""
        self._steps_per_epoch = steps_per_epoch
        self._eta = _Eta(total_steps, self._clock)
        self._said_at = self._clock()
        if self._console.is_terminal:
            self._live = _Live(self._console, total_steps)

    def step(
        self, step: int, *, loss: float, images_per_s: float, data_wait: float, lr: float
    ) -> None:
        """Tells that `step` updates are done; data_wait is the share of time without data."""
        self._eta.update(step)
        wait = say.percent(data_wait, 0)
        self._loss = f"loss {loss:.4g}"
        self._speed = f"{say.rate(images_per_s)}  data wait {wait}  lr {lr:.3g}"
        if self._live is not None:
            self._live.show(
                step, place=self._place(step), state=self._line(), left=self._eta.text()
            )
        elif self._clock() - self._said_at >= self._interval_s or step == self._eta.total:
            left = f"  {self._eta.text()} left" if step < self._eta.total else ""
            self._say(f"{self._place(step)}  {self._loss}  {self._speed}{left}")

    def evaluation(self, step: int, *, split: str, figures: Mapping[str, float]) -> None:
        """Tells how an evaluation turned out."""
        shown = {name: value for name, value in figures.items() if name != "n"}
        texts = [f"{name} {say.figure(name, value)}" for name, value in shown.items()]
        self._figures = f"{split} {texts[0]}" if texts else ""
        if self._live is not None:
            self._live.show(
                step, place=self._place(step), state=self._line(), left=self._eta.text()
            )
        else:
            self._say(f"{self._place(step)}  {split}: {'  '.join(texts)}")

    def message(self, text: str) -> None:
        """Prints a line of its own, above the bar where there is one."""
        self._console.print(Text(say.plain(text)), soft_wrap=True)

    def stop(self) -> None:
        """Takes the bar off; a second call does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _line(self) -> str:
        return "  ".join(filter(None, [self._loss, self._figures, self._speed]))

    def _place(self, step: int) -> str:
        total = self._eta.total
        epoch, epochs = (steps / self._steps_per_epoch for steps in (step, total))
        return f"step {step}/{total}  epoch {epoch:.1f}/{epochs:.4g}"

    def _say(self, line: str) -> None:
        self._said_at = self._clock()
        self.message(line)


@contextmanager
def progress(
    description: str,
    total: int | None,
    *,
    console: Console | None = None,
    interval_s: float = 10.0,
    clock: Clock = time.monotonic,
) -> Generator[Callable[[int], None]]:
    """Yields a function that takes the number of things just done; an unknown total is None."""
    shown = console or Console()
    done, said_at = 0, clock()
    of_total = "" if total is None else f" of {say.count(total)}"

    def say_line() -> None:
        line = f"{description}: {say.count(done)}{of_total}"
        shown.print(Text(say.plain(line)), soft_wrap=True)

    def advance(count: int) -> None:
        nonlocal done, said_at
        done += count
        bar.update(task, completed=done, left=f"{say.count(done)}{of_total}")
        if bar.disable and clock() - said_at >= interval_s:
            said_at = clock()
            say_line()

    with _bar(shown) as bar:
        task = bar.add_task(say.plain(description), total=total, left="")
        yield advance
    if bar.disable:
        say_line()


class _Eta:
    """Reckons the time left from the mean pace since the first step seen, evaluations included."""

    def __init__(self, total: int, clock: Clock) -> None:
        self.total = total
        self._clock = clock
        self._first: tuple[int, float] | None = None
        self._seconds: float | None = None

    def update(self, step: int) -> None:
        now = self._clock()
        if self._first is None:
            self._first = (step, now)
        step_0, began = self._first
        if step > step_0:
            self._seconds = (self.total - step) * (now - began) / (step - step_0)

    def text(self) -> str:
        return say.NOTHING if self._seconds is None else say.duration(self._seconds)


class _Live:
    """Two lines at the bottom of the terminal: place, bar and time left; then how the run does."""

    def __init__(self, console: Console, total: int) -> None:
        self._bar = _bar(console)
        self._task = self._bar.add_task("", total=total, left="")
        self._state = Text(style="dim", no_wrap=True, overflow="ellipsis")
        self._live = Live(
            Group(self._bar, self._state),
            console=console,
            refresh_per_second=_REFRESHES_A_SECOND,
        )
        self._live.start()

    def show(self, step: int, *, place: str, state: str, left: str) -> None:
        self._bar.update(self._task, completed=step, description=place, left=f"{left} left")
        self._state.plain = state

    def stop(self) -> None:
        self._live.stop()


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, complete_style="blue", finished_style="blue"),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=console,
        expand=True,
        disable=not console.is_terminal,
    )
