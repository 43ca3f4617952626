"""`vertebra scale`."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from vertebra.cli.flags import require_known, shown
from vertebra.cli.study_flags import StudyFlags
from vertebra.errors import RecipeError

if TYPE_CHECKING:
    from vertebra.recipes.materials import Materials
    from vertebra.recipes.recipe import Recipe
    from vertebra.studies.family import Family, Size
    from vertebra.studies.family_rank import Rule
    from vertebra.studies.family_search import Budget, Found

BUDGET_S = 0.5
"""Seconds of timed calls for each member."""


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyFlags):
    """Say which member of a network's family to train for a budget, on this machine.

    The recipe's network is made wider and narrower, deeper and shallower, on larger and smaller
    images, none larger than yours; members near the budget are measured. They are ranked by
    ResNet-RS's rules, by a study of yours (--study), or by short runs (--try). Prints the command
    that trains the best.
    """

    latency: Annotated[str | None, shown("TIME")] = None
    """What a call with one image may take here, as 5ms or 0.1s."""
    macs: Annotated[str | None, shown("N")] = None
    """Multiply-adds that an image may take, as 300M or 1.5G; measures nothing."""
    study: Annotated[Path | None, shown("STUDY")] = None
    """Rank by what `vertebra study scale` found of the same network."""
    try_best: Annotated[int | None, shown("N", name="try")] = None
    """Rank the N best by runs, --seeds of each, judged by the images that choose."""
    try_epochs: Annotated[float | None, shown("N")] = None
    """Length of those runs; default is a quarter of the training's, and the whole says more."""
    shortlist: Annotated[int, shown("N")] = 5
    """Members to show."""
    save: Annotated[Path | None, shown("FILE")] = None
    """Write the best one's recipe, for `vertebra train --recipe FILE`."""


def run(arguments: Arguments) -> int:
    """Searches, ranks, and prints the shortlist and the command; returns the exit code."""
    _check(arguments)
    require_known(arguments)

    from vertebra.cli.choose import choose_row
    from vertebra.cli.reading import reading
    from vertebra.cli.study_precision import shared_precision
    from vertebra.engine.distributed import World
    from vertebra.studies.family import Family
    from vertebra.studies.family_search import search
    from vertebra.studies.place import StudyDirectory

    budget = _budget(arguments)
    if arguments.study is not None:
        StudyDirectory(arguments.study).read()  # tell at once that there is none
    with reading() as on_progress:
        chosen = choose_row(arguments, world=World(), on_progress=on_progress)
    materials = chosen.materials[-1]
    family = Family(chosen.recipe, classes=len(materials.classes))
    sides = _sides(arguments, family, materials)
    smallest = family.recipe(family.origin._replace(image_size=min(sides)))
    recipe = shared_precision(chosen.recipe, [smallest], arguments, fixed=chosen.fixed)
    family = Family(recipe, classes=len(materials.classes))
    with reading("counting") as on_progress:
        candidates = family.candidates(sides, on_progress=on_progress)
    rule = _rule(arguments, family, candidates, materials)
    with reading("measuring") as on_progress:
        found = search(
            family,
            candidates,
            budget=budget,
            score=rule.score,
            measure=partial(_measure, family, budget, on_progress),
            wanted=max(arguments.shortlist, arguments.try_best or 0),
        )
    _show(arguments, family, found, budget, rule)
    best = next(iter(found.members))
    if arguments.try_best is not None:
        tried = _try(arguments, family, found, budget)
        if tried is None:
            return 0
        best = tried
    _show_next(arguments, family.recipe(best), materials)
    return 0


def _check(arguments: Arguments) -> None:
    if (arguments.latency is None) == (arguments.macs is None):
        raise RecipeError("give one budget, as --latency 5ms or --macs 300M")
    if arguments.study is not None and arguments.try_best is not None:
        raise RecipeError("--study and --try both rank the members; give one")
    for name, value in (("shortlist", arguments.shortlist), ("try", arguments.try_best)):
        if value is not None and value < 1:
            raise RecipeError(f"{name}={value}; give at least 1")
    if arguments.save is not None and arguments.save.is_dir():
        raise RecipeError(f"{arguments.save} is a folder; name a file to write")


def _budget(arguments: Arguments) -> "Budget":
    from vertebra.studies.family_search import Budget

    if arguments.macs is not None:
        return Budget.parse(arguments.macs, "MACs")
    return Budget.parse(arguments.latency or "", "ms")


def _sides(arguments: Arguments, family: "Family", materials: "Materials") -> list[int]:
    """Returns the image sizes that are varied over; one that was asked for stays."""
    from vertebra.recipes.fit import typical_side
    from vertebra.studies.family import image_sizes

    own = family.origin.image_size
    if arguments.image_size is not None:
        return [own]
    return image_sizes(own, largest=typical_side(materials.train))


def _rule(
    arguments: Arguments, family: "Family", candidates: "Sequence[Size]", materials: "Materials"
) -> "Rule":
    from vertebra.studies.family_rank import ByPath, ByStudy
    from vertebra.studies.place import StudyDirectory
    from vertebra.studies.results import read_results

    images = len(materials.train)
    phase = family.recipe(family.origin).phases[-1]
    epochs = phase.length.value
    if phase.length.unit == "steps":
        epochs *= phase.data.batch_size / images
    if arguments.study is not None:
        return ByStudy(family, read_results(StudyDirectory(arguments.study)), epochs=epochs)
    return ByPath(family, candidates, epochs=epochs, images=images)


def _measure(
    family: "Family",
    budget: "Budget",
    on_progress: Callable[[int, int], None],
    sizes: "Sequence[Size]",
) -> list[float | None]:
    """Returns what members cost in the unit of the budget."""
    from vertebra.studies.costs import costs_of

    if budget.unit == "MACs":
        return [family.cost(size).macs for size in sizes]
    costs = costs_of(
        [family.recipe(size) for size in sizes],
        classes=family.classes,
        budget_s=BUDGET_S,
        on_progress=on_progress,
    )
    return [cost.latency_ms for cost in costs]


def _show(
    arguments: Arguments, family: "Family", found: "Found", budget: "Budget", rule: "Rule"
) -> None:
    """Prints the shortlist, why it is so, and how it was measured."""
    from rich.text import Text

    from vertebra.report.quantities import amount, number_of
    from vertebra.report.terminal import names_table, open_console
    from vertebra.studies.costs import conditions

    rows: list[list[str]] = []
    for size, cost in [*found.members.items()][: arguments.shortlist]:
        own = family.cost(size)
        latency = [budget.said(cost)] if budget.unit == "ms" else []
        why = rule.reason(size, cost / budget.most)
        rows.append([size.name, why, amount(own.macs), amount(own.parameters), *latency])
    heads = ["member", "why", "MACs", "parameters", *(["latency"] if budget.unit == "ms" else [])]
    console = open_console()
    console.print(names_table(heads, rows, numbers=len(heads) - 2))
    said = [f"Ranked {rule.said}."]
    if budget.unit == "ms":
        how = conditions(family.recipe(family.origin))
        said.append(
            f"Latency: median call of one image on {how['device']}, {how['precision']}, "
            f"{number_of(how['threads'], 'thread')} of the CPU."
        )
    if found.largest is not None:
        size, cost = found.largest
        said.append(
            f"The whole family fits: the largest, {size.name}, takes {budget.said(cost)}; "
            f"choose a larger --model to use the budget."
        )
    for each in said:
        console.print(Text(each, style="dim"))


def _try(arguments: Arguments, family: "Family", found: "Found", budget: "Budget") -> "Size | None":
    """Returns the best member by short runs of the first ones; None if only the rows are wanted."""
    from vertebra.cli.studying import data_name, go_on, show_rows, typed
    from vertebra.studies.costs import Cost, conditions
    from vertebra.studies.family import Size
    from vertebra.studies.place import StudyDirectory
    from vertebra.studies.results import read_results
    from vertebra.studies.scale import scale_cells
    from vertebra.studies.scale_fits import most_accurate
    from vertebra.studies.study import Study

    members = [*found.members.items()][: arguments.try_best]
    costs = {
        size: Cost(*family.cost(size)[:2], cost if budget.unit == "ms" else None)
        for size, cost in members
    }
    recipe = family.recipe(family.origin)
    length = arguments.try_epochs or round(recipe.phases[-1].length.value / 4, 2)
    study = Study(
        kind="scale",
        question=f"Which member within {budget.said()} is best on {data_name(recipe)}?",
        cells=scale_cells(family, costs, [length]),
        seeds=tuple(range(arguments.seeds)),
        command=typed(),
        threads=arguments.threads_of_a_run(),
        facts=conditions(recipe),
    )
    study.check()
    if arguments.dry_run:
        show_rows(study)
        return None
    place = (
        StudyDirectory(arguments.out)
        if arguments.out
        else StudyDirectory.next("scale", recipe.phases[-1].data.source)
    )
    go_on(study, place, arguments, is_new=True)
    best = most_accurate(read_results(place).rows)
    if best is None:
        raise RecipeError(f"no run has finished; {place.report} says why")
    return Size(*(best.cell.place[name] for name in Size._fields))


def _show_next(arguments: Arguments, recipe: "Recipe", materials: "Materials") -> None:
    """Prints the command that trains the recipe, and writes the recipe where that is asked for."""
    from vertebra.cli.show import show_next
    from vertebra.cli.train_line import train_line
    from vertebra.recipes.codec import to_data
    from vertebra.records import write_json

    if arguments.save is None:
        show_next(shlex.join(train_line(arguments, recipe, materials)))
    else:
        write_json(arguments.save, to_data(recipe))
        show_next(shlex.join(["vertebra", "train", "--recipe", str(arguments.save)]))
