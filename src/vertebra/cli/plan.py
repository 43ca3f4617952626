"""`vertebra plan`."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from vertebra.cli.flags import RecipeFlags, require_known, shown, words


@dataclass(frozen=True, kw_only=True)
class Arguments(RecipeFlags):
    """Say what `vertebra train` with the same flags would do and take; train nothing.

    Use it before a long run. Time, memory and checkpoint size are measured on two updates of a
    copy; evaluations come on top.
    """

    save: Annotated[Path | None, shown("FILE")] = None
    """Write the recipe as it would run, for `vertebra train --recipe FILE`."""


def run(arguments: Arguments) -> int:
    """Measures and prints."""
    require_known(arguments)

    from vertebra.cli.choose import choose
    from vertebra.cli.reading import reading
    from vertebra.cli.show import show_found, show_next, show_plan
    from vertebra.engine.distributed import World
    from vertebra.recipes.codec import to_data
    from vertebra.recipes.plan import estimate
    from vertebra.recipes.prepare import prepare
    from vertebra.records import RunDirectory, write_json

    with reading() as on_progress:
        chosen = choose(arguments, world=World(), on_progress=on_progress)
    prepared = prepare(chosen.recipe, materials=chosen.materials)
    out = RunDirectory.next(chosen.recipe.phases[-1].data.source).path
    show_found(chosen.materials[-1])
    show_plan(
        prepared,
        out,
        notes=chosen.notes,
        model=chosen.model,
        start=chosen.start,
        estimate=estimate(prepared),
    )
    if arguments.save is None:
        show_next(shlex.join(["vertebra", "train", *words(replace(arguments, save=None))]))
    else:
        write_json(arguments.save, to_data(chosen.recipe))
        show_next(shlex.join(["vertebra", "train", "--recipe", str(arguments.save)]))
    return 0
