"""`vertebra study decay`."""

from dataclasses import dataclass
from typing import Annotated

from vertebra.cli.flags import require_known, shown
from vertebra.cli.study_flags import StudyFlags


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyFlags):
    """Say how much weight decay to take beside which other regularisers.

    The recipe loses its regularisers and gets them again: none, RandAugment and label smoothing,
    then dropout too, and stochastic depth where the recipe has it; each with each weight decay,
    once for each seed. The paper's table stands beside yours.
    """

    decays: Annotated[tuple[float, ...], shown("DECAY...")] = ()
    """Weight decays, two or more. Default: the recipe's, and 0.4 times that, as in the paper."""
    dropout: Annotated[float | None, shown("RATE")] = None
    """Dropout where there is some. Default: the recipe's, or 0.25."""
    stochastic_depth: Annotated[float | None, shown("RATE")] = None
    """Stochastic depth beside dropout. Default: the recipe's, which may be none."""


def run(arguments: Arguments) -> int:
    """Runs the study; returns the exit code."""
    require_known(arguments)

    from vertebra.cli.choose import choose_row
    from vertebra.cli.reading import reading
    from vertebra.cli.study_precision import in_shared_precision
    from vertebra.cli.studying import answer, data_name, typed
    from vertebra.engine.distributed import World
    from vertebra.studies.decay import SOURCE, decay_cells, usual_decays
    from vertebra.studies.regularisers import regularisers_of
    from vertebra.studies.study import Study

    with reading() as on_progress:
        chosen = choose_row(arguments, world=World(), on_progress=on_progress)
    recipe = chosen.recipe
    regularisers = regularisers_of(
        recipe, dropout=arguments.dropout, stochastic_depth=arguments.stochastic_depth
    )
    cells = decay_cells(recipe, arguments.decays or usual_decays(recipe), regularisers)
    study = Study(
        kind="decay",
        question=f"How much weight decay beside which regularisers on {data_name(recipe)}?",
        cells=in_shared_precision(cells, arguments, fixed=chosen.fixed),
        seeds=tuple(range(arguments.seeds)),
        source=SOURCE,
        command=typed(),
        threads=arguments.threads_of_a_run(),
    )
    return answer(study, arguments)
