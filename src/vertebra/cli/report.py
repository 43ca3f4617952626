"""`vertebra report`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Write a run's page again; works for unfinished runs too."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run directory."""


def run(arguments: Arguments) -> int:
    """Writes the page and prints its path."""
    from vertebra.records import RunDirectory
    from vertebra.report.page import write_report

    print(write_report(RunDirectory(arguments.run).require()))
    return 0
