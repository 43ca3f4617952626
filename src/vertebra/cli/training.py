"""What every command does that trains: flags beside those of the recipe, and the run itself."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from vertebra.cli.flags import RecipeFlags, require_known, require_processes, shown, words


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(RecipeFlags):
    """Flags of every command that trains."""

    out: Annotated[Path | None, shown("FOLDER")] = None
    """The run directory; default is the next free one of runs/NAME-1, runs/NAME-2, ..."""
    devices: Annotated[int, shown("N")] = 1
    """Processes on this machine that train together, one a device."""
    tensorboard: Annotated[bool, shown()] = False
    """Write TensorBoard events too; needs the extra vertebra[tensorboard]."""


def train(flags: TrainingFlags, *, command: str) -> int:
    """Trains, in so many processes as are asked for, and returns the exit code.

    command: the name under which more processes are started.
    """
    from vertebra.records import RunDirectory

    require_processes(flags.devices)
    require_known(flags)
    if flags.out is not None:
        RunDirectory(flags.out).require_free()
    if flags.devices > 1:
        from vertebra.engine.distributed import is_launched, launch, own_command

        if not is_launched():
            line = own_command([command, *words(replace(flags, devices=1))])
            return launch(line, flags.devices)
    return _train(flags)


def _train(flags: TrainingFlags) -> int:
    from vertebra.cli.choose import choose
    from vertebra.cli.reading import reading
    from vertebra.cli.show import show_final, show_found, show_plan, view_of
    from vertebra.engine.distributed import World
    from vertebra.recipes.prepare import prepare
    from vertebra.recipes.run import run as run_recipe
    from vertebra.records import RunDirectory

    world = World.of_environment()
    with reading() as on_progress:
        chosen = choose(flags, world=world, on_progress=on_progress)
    prepared = prepare(chosen.recipe, materials=chosen.materials, processes=world.size)
    # every process comes to the same folder: the first one makes it when all have joined
    out = flags.out or RunDirectory.next(chosen.recipe.phases[-1].data.source).path
    if world.leads:
        show_found(chosen.materials[-1])
        show_plan(prepared, out, notes=chosen.notes, model=chosen.model, start=chosen.start)
    events = out / "tensorboard" if flags.tensorboard else None
    with view_of(leads=world.leads, tensorboard=events) as view:
        record = run_recipe(chosen.recipe, out, prepared=prepared, view=view)
    if record is not None:
        show_final(record, out)
    return 0
