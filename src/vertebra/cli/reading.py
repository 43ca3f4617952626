"""A progress bar over a scan that reports (done, total); on stderr, so that stdout stays data."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def reading(what: str = "reading images") -> Generator[Callable[[int, int], None]]:
    """Yields a listener of (done, total); shows nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)

        def listen(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield listen
