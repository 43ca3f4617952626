"""`vertebra surgery`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown

if TYPE_CHECKING:
    from vertebra.recipes.surgery import Outcome


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Replace the batch norms of a run's network by group norms, and write the result as a run.

    The weights are carried over as a warm start: accuracy falls until --recalibrate, or `vertebra
    resume` with the run's whole recipe, has trained them again. It is measured before, between and
    after, on the split that the run reported.
    """

    action: Annotated[Positional[Literal["norm"]], shown("norm")]
    """What is replaced: norm."""
    run: Annotated[Positional[Path], shown("RUN")]
    """The run directory."""
    out: Annotated[Path | None, shown("FOLDER")] = None
    """The new run directory; default is the next free one of runs/NAME-1, runs/NAME-2, ..."""
    groups: Annotated[int | None, shown("N")] = None
    """Groups in every norm, as 32."""
    channels_per_group: Annotated[int | None, shown("N")] = None
    """Channels in every group; default is 16."""
    standardise: Annotated[bool, shown()] = False
    """Standardise the filters of the convolutions before the norms."""
    recalibrate: Annotated[int, shown("STEPS")] = 0
    """Updates to train with the run's own data and recipe."""
    lr: Annotated[float | None, shown("RATE")] = None
    """Peak learning rate of these updates; default is a tenth of the recipe's."""
    device: Annotated[str | None, shown("NAME")] = None
    """One of auto, cpu, cuda, cuda:1, mps; default is the run's own."""


def run(arguments: Arguments) -> int:
    """Operates and prints what came of it."""
    from vertebra.records import RunDirectory

    RunDirectory(arguments.run).require()
    if arguments.out is not None:
        RunDirectory(arguments.out).require_free()

    from vertebra.cli.show import show_next, view_of
    from vertebra.layers.norm import GroupNormSpec
    from vertebra.recipes.surgery import NormSurgery, operate

    surgery = NormSurgery(
        norm=GroupNormSpec(
            groups=arguments.groups, channels_per_group=arguments.channels_per_group
        ),
        standardise=arguments.standardise,
        recalibrate=arguments.recalibrate,
        lr=arguments.lr,
    )
    with view_of(leads=True) as view:
        outcome = operate(surgery, arguments.run, arguments.out, device=arguments.device, view=view)
    _show(outcome)
    place = shlex.quote(str(outcome.directory))
    after = "evaluate" if arguments.recalibrate else "resume"
    show_next(f"vertebra {after} {place}", f"vertebra predict {place} IMAGE")
    return 0


def _show(outcome: "Outcome") -> None:
    from vertebra.report import quantities as say
    from vertebra.report.terminal import names_table, open_console

    console = open_console()
    widths = [(count, *width) for width, count in outcome.report.widths.items()]
    console.print(names_table(("norms", "channels", "groups"), widths, numbers=3))
    for warning in outcome.report.warnings:
        console.print(f"note: {warning}", markup=False)
    console.print()
    rows = [
        (stage, *say.figures(outcome.split, figures).values())
        for stage, figures in outcome.figures.items()
    ]
    names = say.figures(outcome.split, outcome.figures["before"])
    title = f"on {say.number_of(outcome.images, 'image')}"
    console.print(names_table((title, *names), rows, numbers=len(names)))
    console.print()
