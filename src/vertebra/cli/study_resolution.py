"""`vertebra study resolution`."""

from dataclasses import dataclass
from typing import Annotated

from vertebra.cli.flags import require_known, shown
from vertebra.cli.study_flags import StudyFlags


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyFlags):
    """Say whether images should grow with the network as EfficientNet has it, or slowly.

    From the recipe's network as the base, members of both rules are made at equal multiply-adds,
    timed here and run once for each seed. Any network with a width and a depth will do, and timm's
    EfficientNets, as --model timm/efficientnet_b0.
    """

    members: Annotated[int, shown("N")] = 4
    """Sizes of either rule, the base among them."""
    slowness: Annotated[float, shown("POWER")] = 0.5
    """The slow rule's side grows with the compound one's to this power, in [0, 1)."""
    step: Annotated[int, shown("PX")] = 4
    """Sides are multiples of it."""
    magnitudes: Annotated[str, shown("M@PX,...,M")] = "10@224,15@320,20"
    """Of RandAugment for timm's EfficientNets by native side, as in the paper: 10 up to 224 px, 15
    up to 320, 20 above; none leaves what the recipe says."""


def run(arguments: Arguments) -> int:
    """Runs the study; returns the exit code."""
    require_known(arguments)

    from vertebra.cli.choose import choose_row
    from vertebra.cli.reading import reading
    from vertebra.cli.study_precision import shared_precision
    from vertebra.cli.studying import answer, data_name, typed
    from vertebra.engine.distributed import World
    from vertebra.studies.costs import conditions
    from vertebra.studies.growth import Growth, parse_magnitudes
    from vertebra.studies.resolution import resolution_cells
    from vertebra.studies.study import Study

    growth = Growth(
        members=arguments.members,
        slowness=arguments.slowness,
        step_px=arguments.step,
        magnitudes=parse_magnitudes(arguments.magnitudes),
    )
    with reading() as on_progress:
        chosen = choose_row(arguments, world=World(), on_progress=on_progress)
    # the other rows have larger images: what the base may, they may
    base = shared_precision(chosen.recipe, (), arguments, fixed=chosen.fixed)
    with reading("measuring networks") as on_progress:
        cells = resolution_cells(
            base,
            growth,
            classes=len(chosen.materials[-1].classes),
            measure=not arguments.dry_run,
            on_progress=on_progress,
        )
    study = Study(
        kind="resolution",
        question=f"Should images grow slowly with {chosen.model} on {data_name(base)}?",
        cells=cells,
        seeds=tuple(range(arguments.seeds)),
        command=typed(),
        threads=arguments.threads_of_a_run(),
        facts={**conditions(base), "slowness": growth.slowness},
    )
    return answer(study, arguments)
