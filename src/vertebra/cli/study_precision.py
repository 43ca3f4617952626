"""One precision for all runs of a study: that which suits its base, decided once, where it is
planned."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.text import Text

from vertebra.cli.study_flags import StudyFlags
from vertebra.engine.execution import Precision
from vertebra.recipes.precision import PATH, fit_precision, in_precision
from vertebra.recipes.recipe import Recipe
from vertebra.report.terminal import open_console
from vertebra.studies.place import StudyDirectory
from vertebra.studies.study import Cell


def shared_precision(
    base: Recipe, others: Sequence[Recipe], flags: StudyFlags, *, fixed: frozenset[str] | None
) -> Recipe:
    """Returns the base in the precision that it shares with the others, and prints what was fitted.

    What was asked for stays, and what is replayed from a file (`fixed` is None); a study that is
    continued keeps its own. Runs on other machines stay in fp32: what is faster here may be slow,
    or not to be had, on the devices there. A dry run measures nothing.
    """
    is_open = base.execution.precision == "fp32" and not flags.dry_run
    if fixed is None or {PATH, "execution"} & fixed or not is_open:
        return base
    stored = _stored(flags)
    if stored is not None:
        return in_precision(base, stored)
    if flags.is_elsewhere:
        _say(f"{PATH}: fp32 stays on other machines; give --precision bf16 if it is faster there")
        return base
    fitted = fit_precision(base, fixed=fixed, others=others)
    for note in fitted.notes:
        _say(f"{note}; the same for all")
    return fitted.recipe


def in_shared_precision(
    cells: Iterable[Cell], flags: StudyFlags, *, fixed: frozenset[str] | None
) -> tuple[Cell, ...]:
    """Returns the rows, all in the precision that suits the first: see `shared_precision`."""
    first, *others = cells
    base = shared_precision(first.recipe, [each.recipe for each in others], flags, fixed=fixed)
    if base == first.recipe:
        return (first, *others)
    precision = base.execution.precision
    return tuple(
        replace(each, recipe=in_precision(each.recipe, precision)) for each in (first, *others)
    )


def _stored(flags: StudyFlags) -> Precision | None:
    """Returns the precision of the study that is continued."""
    if flags.out is None or not StudyDirectory(flags.out).study.is_file():
        return None
    return StudyDirectory(flags.out).read().cells[0].recipe.execution.precision


def _say(note: str) -> None:
    open_console().print(Text(f"fitted  {note}"))
