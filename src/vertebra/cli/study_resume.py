"""`vertebra study resume`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.cli.study_flags import ExecutorFlags


@dataclass(frozen=True, kw_only=True)
class Arguments(ExecutorFlags):
    """Make the runs of a study that are missing, here or elsewhere; finished ones stay."""

    study: Annotated[Positional[Path], shown("STUDY")]
    """A folder that `vertebra study` made."""


def run(arguments: Arguments) -> int:
    """Goes on; returns the exit code."""
    from vertebra.cli.studying import go_on
    from vertebra.studies.place import StudyDirectory

    place = StudyDirectory(arguments.study)
    return go_on(place.read(), place, arguments)
