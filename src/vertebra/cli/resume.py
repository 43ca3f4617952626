"""`vertebra resume`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from vertebra.cli.flags import require_processes, shown


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Continue a run that was stopped, to its end.

    On a CPU the result is bitwise that of an uninterrupted run; where versions or devices differ,
    it says so.
    """

    run: Annotated[Positional[Path], shown("RUN")]
    """The run directory."""
    devices: Annotated[int, shown("N")] = 1
    """Processes on this machine that train together; use as many as before."""


def run(arguments: Arguments) -> int:
    """Continues; returns the exit code."""
    from vertebra.records import RunDirectory

    require_processes(arguments.devices)
    RunDirectory(arguments.run).require()

    from vertebra.engine.distributed import World, is_launched, launch, own_command

    if arguments.devices > 1 and not is_launched():
        return launch(own_command(["resume", str(arguments.run)]), arguments.devices)
    from vertebra.cli.show import show_final, view_of
    from vertebra.recipes.run import resume

    with view_of(leads=World.of_environment().leads) as view:
        record = resume(arguments.run, view=view)
    if record is not None:
        show_final(record, arguments.run)
    return 0
