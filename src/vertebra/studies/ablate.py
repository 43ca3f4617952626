"""Which differences between two recipes help? Applied one at a time, each on top of those before.

Source: Revisiting ResNets (2021), table 1; Bag of Tricks for Image Classification (2019), table 6;
additive studies of this kind are in most papers on training.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vertebra.errors import RecipeError
from vertebra.recipes.recipe import Recipe
from vertebra.records import RunRecord
from vertebra.report.quantities import number_of
from vertebra.studies.reading import Column, Figure, Reading, Table, in_points
from vertebra.studies.results import Results, Row
from vertebra.studies.staircase import Stair, staircase
from vertebra.studies.statistics import FEWEST, Interval, paired
from vertebra.studies.steps import Step, climb
from vertebra.studies.study import Cell, Study

PERCENT = 100


class Rung(NamedTuple):
    """A row of the additive table, read.

    gain:      over the row before, on the same seeds, with its interval; None for the first row.
    published: the paper's gain over its row before.
    time, memory: of the run, in those of the first row.
    """

    row: Row
    figure: Interval | None
    gain: Interval | None
    published_gain: float | None
    time: float | None
    memory: float | None

    @property
    def part(self) -> str:
        """What it is of, "training" or "architecture"; "" where nobody has said."""
        return self.row.cell.place["part"]


def additive_cells(
    begins: Step,
    base: Recipe,
    steps: Sequence[Step],
    *,
    fitted: Callable[[Recipe], Recipe],
    leaves_one_out: bool = False,
) -> tuple[Cell, ...]:
    """Returns a cell for where it begins and for each step on top of those before.

    fitted:         suits a recipe to the images; is asked for each row.
    leaves_one_out: further cells have all steps but one.

    Raises:
        RecipeError: a step leads to a recipe that cannot run.
    """
    climbed = zip((begins, *steps), (base, *climb(base, steps)), strict=True)
    cells = [_cell(step, fitted(recipe), "step") for step, recipe in climbed]
    if leaves_one_out:
        cells += [
            _cell(_without(step), fitted(_all_but(base, steps, place)), "all but one")
            for place, step in enumerate(steps[:-1])
        ]
    return tuple(cells)


def _cell(step: Step, recipe: Recipe, role: str) -> Cell:
    place = {"role": role, "part": step.part}
    return Cell(name=step.name, recipe=recipe, place=place, published=step.published)


def _without(step: Step) -> Step:
    return Step(f"all but {step.name.removeprefix('+ ')}", {}, None, step.part)


def _all_but(base: Recipe, steps: Sequence[Step], left_out: int) -> Recipe:
    try:
        return climb(base, [*steps[:left_out], *steps[left_out + 1 :]])[-1]
    except RecipeError as error:
        raise RecipeError(
            f"without {steps[left_out].name!r}, {error}; leave out --leave-one-out"
        ) from error


def rungs(results: Results) -> list[Rung]:
    """Returns the additive rows, read."""
    rows = [row for row in results.rows if row.cell.place["role"] == "step"]
    first, read = rows[0], list[Rung]()
    for place, row in enumerate(rows):
        before = rows[place - 1] if place else None
        theirs = before and before.cell.published
        ours = row.cell.published
        read.append(
            Rung(
                row,
                row.mean(),
                before and paired(row.figures(), before.figures()),
                None if ours is None or theirs is None else ours - theirs,
                _ratio(row, first, lambda record: record.train_seconds),
                _ratio(row, first, lambda record: record.peak_memory_mb),
            )
        )
    return read


def _ratio(row: Row, first: Row, of: Callable[[RunRecord], float]) -> float | None:
    ours, theirs = row.median(of), first.median(of)
    return None if ours is None or not theirs else ours / theirs


def read_ablation(results: Results) -> Reading:
    """Returns the additive table, what it says, and its staircase."""
    read = rungs(results)
    tables = [_additive_table(read, results.study)]
    if any(row.cell.place["role"] == "all but one" for row in results.rows):
        tables.append(_leave_one_out_table(results))
    stairs = [Stair(rung.row.cell.name, rung.figure, rung.gain) for rung in read]
    shown = Figure(
        "Each step on top of those before",
        staircase(stairs),
        "Whiskers are 95% intervals over the seeds. Green: the gain is beyond chance on its own "
        "seeds; orange: the loss is; pale: neither.",
    )
    has_figures = any(rung.figure is not None for rung in read)
    return Reading(tuple(tables), _findings(read), (shown,) if has_figures else ())


def _additive_table(read: Sequence[Rung], study: Study) -> Table:
    has_published = any(rung.row.cell.published is not None for rung in read)
    columns = [
        Column("step"),
        Column("top-1", "share"),
        Column("gain", "points"),
        Column("time", "ratio"),
        Column("memory", "ratio"),
    ]
    rows = [
        [rung.row.cell.name, rung.figure or rung.row.state, rung.gain, rung.time, rung.memory]
        for rung in read
    ]
    note = (
        "Top-1 is the mean over the seeds on the split that is reported, ± half of its 95% "
        "interval; the gain is over the row before, in points, paired by seed. Time and memory "
        "are in those of the first row."
    )
    if has_published:
        columns += [Column("paper", "share"), Column("paper's gain", "points")]
        rows = [
            [*row, rung.row.cell.published, rung.published_gain]
            for row, rung in zip(rows, read, strict=True)
        ]
        note += f" The paper's figures: {study.source}."
    if study.facts.get("note"):
        note += f" {study.facts['note']}"
    return Table("Step by step", tuple(columns), tuple(map(tuple, rows)), note)


def _leave_one_out_table(results: Results) -> Table:
    rows = [row for row in results.rows if row.cell.place["role"] == "all but one"]
    full = [row for row in results.rows if row.cell.place["role"] == "step"][-1]
    columns = (Column("recipe"), Column("top-1", "share"), Column("minus all", "points"))
    shown = [
        (row.cell.name, row.mean() or row.state, paired(row.figures(), full.figures()))
        for row in rows
    ]
    return Table(
        "All steps but one",
        columns,
        (("all steps", full.mean() or full.state, None), *shown),
        "A step that matters where the others are leaves a row far below zero.",
    )


def _findings(read: Sequence[Rung]) -> tuple[str, ...]:
    """Returns what the table says: the whole way, its parts, which steps are beyond chance."""
    found: list[str] = []
    whole = paired(read[-1].row.figures(), read[0].row.figures())
    if whole is not None:
        found.append(
            f"The whole way gave {in_points(whole)} points ({number_of(whole.n, 'seed')})."
        )
    found += _parts(read)
    gains = [rung.gain for rung in read if rung.gain is not None]
    if gains and all(gain.n < FEWEST for gain in gains):
        found.append(f"With fewer than {FEWEST} seeds no step can be told from chance.")
    elif gains:
        helped = [_bare(rung) for rung in read if rung.gain and rung.gain.is_above_zero]
        found.append(f"Beyond chance helped: {', '.join(helped) or 'no single step'}.")
        if hurt := [_bare(rung) for rung in read if rung.gain and rung.gain.is_below_zero]:
            found.append(f"Beyond chance hurt: {', '.join(hurt)}.")
    return tuple(found)


def _parts(read: Sequence[Rung]) -> list[str]:
    """Returns what each part gave whose steps are together: else it is no difference of rows."""
    said: list[str] = []
    for part in dict.fromkeys(rung.part for rung in read if rung.part):
        places = [place for place, rung in enumerate(read) if rung.part == part]
        if places != list(range(places[0], places[-1] + 1)):
            continue
        before, last = read[places[0] - 1].row, read[places[-1]].row
        ours = paired(last.figures(), before.figures())
        if ours is None:
            continue
        low, high = before.cell.published, last.cell.published
        theirs = ""
        if low is not None and high is not None:
            theirs = f" (paper: {PERCENT * (high - low):+.1f})"
        said.append(f"The steps of {part} gave {in_points(ours)}{theirs}.")
    return said


def _bare(rung: Rung) -> str:
    return rung.row.cell.name.removeprefix("+ ")
