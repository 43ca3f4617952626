"""`vertebra report`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from vertebra.cli.flags import shown


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Write a run's page again and print where it is.

    A run writes it by itself at its end; use this to look at one that is still going on, or after
    an update.
    """

    run: Annotated[Positional[Path], shown("RUN")]
    """The run directory."""


def run(arguments: Arguments) -> int:
    """Writes the page and prints its path."""
    from vertebra.records import RunDirectory
    from vertebra.report.page import write_report

    print(write_report(RunDirectory(arguments.run).require()))
    return 0
