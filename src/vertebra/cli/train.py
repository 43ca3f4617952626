"""`vertebra train`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from vertebra.cli.flags import RecipeFlags, require_known, require_processes, shown, words


@dataclass(frozen=True, kw_only=True)
class Arguments(RecipeFlags):
    """Train a classifier and leave a run directory with its weights, figures and report.

    Without arguments: a small ResNet-RS on handwritten digits. On your own images the recipe is
    fitted to their number and size; what was changed is printed. Part of the training images is
    held out to choose the weights; the test images are looked at once, at the end. Ctrl-C saves;
    `vertebra resume` goes on.
    """

    out: Annotated[Path | None, shown("FOLDER")] = None
    """The run directory; default is the next free one of runs/NAME-1, runs/NAME-2, ..."""
    devices: Annotated[int, shown("N")] = 1
    """Processes on this machine that train together, one a device."""
    tensorboard: Annotated[bool, shown()] = False
    """Write TensorBoard events too; needs the extra vertebra[tensorboard]."""


def run(arguments: Arguments) -> int:
    """Trains; returns the exit code."""
    from vertebra.records import RunDirectory

    require_processes(arguments.devices)
    require_known(arguments)
    if arguments.out is not None:
        RunDirectory(arguments.out).require_free()
    if arguments.devices > 1:
        from vertebra.engine.distributed import is_launched, launch, own_command

        if not is_launched():
            command = own_command(["train", *words(replace(arguments, devices=1))])
            return launch(command, arguments.devices)
    return _train(arguments)


def _train(arguments: Arguments) -> int:
    from vertebra.cli.choose import choose
    from vertebra.cli.reading import reading
    from vertebra.cli.show import show_final, show_found, show_plan, view_of
    from vertebra.engine.distributed import World
    from vertebra.recipes.prepare import prepare
    from vertebra.recipes.run import run as run_recipe
    from vertebra.records import RunDirectory

    world = World.of_environment()
    with reading() as on_progress:
        chosen = choose(arguments, world=world, on_progress=on_progress)
    prepared = prepare(chosen.recipe, materials=chosen.materials, processes=world.size)
    # every process comes to the same folder: the first one makes it when all have joined
    out = arguments.out or RunDirectory.next(chosen.recipe.phases[-1].data.source).path
    if world.leads:
        show_found(chosen.materials[-1])
        show_plan(prepared, out, notes=chosen.notes, model=chosen.model, start=chosen.start)
    events = out / "tensorboard" if arguments.tensorboard else None
    with view_of(leads=world.leads, tensorboard=events) as view:
        record = run_recipe(chosen.recipe, out, prepared=prepared, view=view)
    if record is not None:
        show_final(record, out)
    return 0
