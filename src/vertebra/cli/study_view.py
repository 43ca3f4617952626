"""How far a study is: a bar over its runs in a terminal, and a line for each run that ends."""

from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from vertebra.records import read_record
from vertebra.report import quantities as say
from vertebra.report.terminal import open_console
from vertebra.studies.place import StudyDirectory
from vertebra.studies.task import End


class StudyProgress:
    """Shows a study to a person; `with` stops it whatever happens."""

    def __init__(self, place: StudyDirectory) -> None:
        self._place = place
        self._console = open_console()
        columns = (
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bar = Progress(
            *columns, console=self._console, disable=not self._console.is_terminal, transient=True
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, *, done: int, missing: int) -> None:
        """So many runs are there already, and so many are to be made."""
        there = f", {done} are there" if done else ""
        said = f"{self._place.path}: {say.number_of(missing, 'run')} to make{there}"
        self._console.print(Text(say.plain(said)))
        self._bar.update(self._task, total=missing, completed=0)

    def end(self, end: End) -> None:
        """A run has ended."""
        name = end.task.name
        if self._place.is_finished(name):
            record = read_record(self._place.run(name))
            figure = next(iter(say.figures("", record.figures).values()), "")
            said, style = f"{name}: {figure}, {say.duration(end.seconds)}", ""
        else:
            said, style = f"{name}: no figure, {end.reason}", "yellow"
        self._console.print(Text(say.plain(said), style=style))
        self._bar.advance(self._task)
