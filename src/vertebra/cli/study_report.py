"""`vertebra study report`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from vertebra.cli.flags import shown


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Write a study's table.csv, table.md and report.html again, and show what came out.

    Also while its runs are under way: the table has what has finished.
    """

    study: Annotated[Positional[Path], shown("STUDY")]
    """A folder that `vertebra study` made."""


def run(arguments: Arguments) -> int:
    """Writes and shows; returns the exit code."""
    from vertebra.cli.studying import show_reading
    from vertebra.studies.place import StudyDirectory
    from vertebra.studies.write import write_reports

    place = StudyDirectory(arguments.study)
    show_reading(*write_reports(place), place)
    return 0
