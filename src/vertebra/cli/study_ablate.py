"""`vertebra study ablate`."""

from dataclasses import dataclass, replace
from typing import Annotated

import tyro
from tyro.conf import Positional, UseAppendAction

from vertebra.cli.flags import require_known, shown
from vertebra.cli.study_flags import StudyFlags


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyFlags):
    """Say which differences between two recipes help, one at a time.

    A and B are fitted to your images, other flags change both. Each difference is a step, added to
    those before and run once for each seed: mean, interval, gain over the row before, time and
    memory. --dry-run shows the steps.
    """

    recipe: Annotated[str | None, tyro.conf.Suppress] = None
    a: Annotated[Positional[str], shown("A")]
    """A named recipe, a recipe.json or a run directory: where it begins."""
    b: Annotated[Positional[str], shown("B")]
    """Where it ends."""
    step: Annotated[UseAppendAction[tuple[str, ...]], shown("NAME:PATH,...")] = ()
    """Make these differences one step, in this order and before the others; repeatable."""
    leave_one_out: Annotated[bool, shown()] = False
    """Make runs with all steps but one, too."""


def run(arguments: Arguments) -> int:
    """Runs the ablation; returns the exit code."""
    ends = [replace(arguments, recipe=name) for name in (arguments.a, arguments.b)]
    for flags in ends:
        require_known(flags)

    from vertebra.cli.choose import choose_row
    from vertebra.cli.reading import reading
    from vertebra.cli.study_precision import in_shared_precision
    from vertebra.cli.studying import answer, data_name, typed
    from vertebra.engine.distributed import World
    from vertebra.studies.ablate import additive_cells
    from vertebra.studies.steps import Step, Wanted, steps_between
    from vertebra.studies.study import Study

    with reading() as on_progress:
        first, last = (choose_row(each, world=World(), on_progress=on_progress) for each in ends)
    a = first.recipe
    steps = steps_between(a, last.recipe, tuple(map(Wanted.parse, arguments.step)))
    cells = additive_cells(
        Step(arguments.a, {}),
        a,
        [step._replace(name=f"+ {step.name}") for step in steps],
        fitted=lambda recipe: recipe,
        leaves_one_out=arguments.leave_one_out,
    )
    fixed = None if last.fixed is None else first.fixed
    study = Study(
        kind="ablate",
        question=f"What leads from {arguments.a} to {arguments.b} on {data_name(a)}?",
        cells=in_shared_precision(cells, arguments, fixed=fixed),
        seeds=tuple(range(arguments.seeds)),
        command=typed(),
        threads=arguments.threads_of_a_run(),
    )
    return answer(study, arguments)
