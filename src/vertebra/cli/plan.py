"""`vertebra plan`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from vertebra.cli.flags import RecipeFlags


@dataclass(frozen=True, kw_only=True)
class Arguments(RecipeFlags):
    """Say what `vertebra train` with the same flags would do and take; train nothing.

    Time, memory and checkpoint size are measured on two updates of a copy.
    """

    save: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write the recipe as it would run, for `vertebra train --recipe FILE`."""


def run(arguments: Arguments) -> int:
    """Measures and prints."""
    from vertebra.cli.choose import choose
    from vertebra.cli.reading import reading
    from vertebra.cli.show import show_found, show_plan
    from vertebra.recipes.codec import to_data
    from vertebra.recipes.plan import estimate
    from vertebra.recipes.prepare import prepare
    from vertebra.records import RunDirectory, write_json

    with reading() as on_progress:
        chosen = choose(arguments, on_progress=on_progress)
    prepared = prepare(chosen.recipe, materials=chosen.materials)
    show_found(chosen.materials[-1])
    out = RunDirectory.next(chosen.recipe.phases[-1].data.source).path
    show_plan(prepared, out, notes=chosen.notes, model=chosen.model, estimate=estimate(prepared))
    if arguments.save is not None:
        write_json(arguments.save, to_data(chosen.recipe))
    return 0
