"""`vertebra study scale`."""

from dataclasses import dataclass
from typing import Annotated

from vertebra.cli.flags import require_known, shown
from vertebra.cli.study_flags import StudyFlags


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyFlags):
    """Say how to scale your network: wider, deeper, larger images or longer training?

    Each width with each depth, image size and length is run once for each seed. What a doubling of
    the cost gives through each, at each length; error against multiply-adds and against the latency
    measured here. --dry-run says how many runs that is.
    """

    widths: Annotated[tuple[float, ...], shown("X ...")] = (0.5, 1.0, 2.0)
    """Times which the network is as wide as the recipe's."""
    depths: Annotated[tuple[float, ...], shown("X ...")] = (0.5, 1.0, 2.0)
    """Times which it is as deep."""
    sizes: Annotated[tuple[int, ...], shown("PX ...")] = ()
    """Sides of the images; default is 1/2, 3/4 and the whole of the recipe's."""
    lengths: Annotated[tuple[float, ...], shown("EPOCHS ...")] = ()
    """Passes over the training images; default is 1/4 and the whole of the recipe's."""
    untimed: Annotated[bool, shown()] = False
    """Time no network."""


def run(arguments: Arguments) -> int:
    """Runs the study; returns the exit code."""
    require_known(arguments)

    from vertebra.cli.choose import choose_row
    from vertebra.cli.reading import reading
    from vertebra.cli.study_precision import shared_precision
    from vertebra.cli.studying import answer, data_name, typed
    from vertebra.engine.distributed import World
    from vertebra.studies.costs import conditions, costs_of
    from vertebra.studies.family import Family
    from vertebra.studies.scale import grid, scale_cells
    from vertebra.studies.study import Study

    with reading() as on_progress:
        chosen = choose_row(arguments, world=World(), on_progress=on_progress)
    classes = len(chosen.materials[-1].classes)
    wanted = grid(
        chosen.recipe,
        widths=arguments.widths,
        depths=arguments.depths,
        sizes=arguments.sizes,
        lengths=arguments.lengths,
    )
    family = Family(chosen.recipe, classes=classes)
    rows = [family.recipe(size) for size in wanted.members]
    recipe = shared_precision(chosen.recipe, rows, arguments, fixed=chosen.fixed)
    family = Family(recipe, classes=classes)
    is_timed = not (arguments.untimed or arguments.dry_run)
    with reading("measuring") as on_progress:
        costs = costs_of(
            [family.recipe(size) for size in wanted.members],
            classes=classes,
            measure=is_timed,
            on_progress=on_progress,
        )
    study = Study(
        kind="scale",
        question=f"Should {chosen.model} grow in width, in depth or in image size on "
        f"{data_name(recipe)}?",
        cells=scale_cells(family, dict(zip(wanted.members, costs, strict=True)), wanted.lengths),
        seeds=tuple(range(arguments.seeds)),
        command=typed(),
        threads=arguments.threads_of_a_run(),
        facts=conditions(recipe) if is_timed else {},
    )
    return answer(study, arguments)
