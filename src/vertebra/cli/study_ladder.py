"""`vertebra study ladder`."""

from dataclasses import dataclass, replace
from typing import Annotated

import tyro
from tyro.conf import Positional

from vertebra.cli.flags import require_known, shown
from vertebra.cli.study_flags import StudyFlags


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyFlags):
    """Say which tricks of a paper help on your images: its additive table, made again.

    Each step is added to those before and run once for each seed; the table gives its mean, its
    interval and its gain, and the paper's figures beside them. Small by default, minutes to hours
    on a laptop; --full takes network, lengths and sizes as published. Without a name: the ladders.
    """

    recipe: Annotated[str | None, tyro.conf.Suppress] = None
    name: Annotated[Positional[str | None], shown("[NAME]")] = None
    """A ladder, or a file like those, see docs/studies/ablate.md."""
    full: Annotated[bool, shown()] = False
    """Take what the ladder says of network, lengths and sizes; made for clusters."""
    leave_one_out: Annotated[bool, shown()] = False
    """Make runs with all steps but one, too."""


def run(arguments: Arguments) -> int:
    """Runs the ladder; returns the exit code."""
    from vertebra.studies.shelf import LADDERS, find_ladder

    if arguments.name is None:
        from vertebra.report.terminal import names_table, open_console

        open_console().print(names_table(("ladder", "what it is about"), LADDERS.items()))
        return 0
    find_ladder(arguments.name)
    require_known(arguments)

    from vertebra.cli.choose import ask
    from vertebra.cli.reading import reading
    from vertebra.cli.study_precision import in_shared_precision
    from vertebra.cli.studying import answer, data_name, typed
    from vertebra.engine.distributed import World
    from vertebra.recipes.fit import fit
    from vertebra.recipes.prepare import gather_all
    from vertebra.recipes.recipe import Recipe
    from vertebra.studies.ablate import additive_cells
    from vertebra.studies.ladder import load_ladder
    from vertebra.studies.study import Study

    ladder = load_ladder(arguments.name, is_small=not arguments.full)
    flags = arguments if arguments.data else replace(arguments, data="digits")
    asked = ask(flags, world=World(), base=ladder.base)
    with reading() as on_progress:
        materials = gather_all(asked.recipe, download=arguments.download, on_progress=on_progress)

    def fitted(recipe: Recipe) -> Recipe:
        return fit(recipe, materials[-1], fixed=asked.fixed or (), start=asked.start).recipe

    cells = additive_cells(
        ladder.begins,
        asked.recipe,
        ladder.steps,
        fitted=fitted,
        leaves_one_out=arguments.leave_one_out,
    )
    scale = "" if arguments.full else ", at small scale"
    study = Study(
        kind="ablate",
        question=f"Which steps of {arguments.name} help on {data_name(asked.recipe)}{scale}?",
        cells=in_shared_precision(cells, arguments, fixed=asked.fixed),
        seeds=tuple(range(arguments.seeds)),
        source=f"{ladder.source}: {ladder.scale}",
        command=typed(),
        threads=arguments.threads_of_a_run(),
        facts={"note": ladder.note},
    )
    return answer(study, arguments)
