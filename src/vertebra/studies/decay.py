"""Does less weight decay pay once other regularisers are on? Each decay with each set of them.

Source: Revisiting ResNets (2021), table 2.
Differs: decays are the recipe's and one in the paper's ratio, regularisers those of the recipe.
"""

from collections.abc import Mapping, Sequence
from math import isclose
from statistics import fmean
from textwrap import wrap
from typing import NamedTuple

from vertebra.errors import RecipeError
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary
from vertebra.records import Json
from vertebra.report.quantities import number_of, percent
from vertebra.studies.error_bars import Series, error_bars, safe
from vertebra.studies.reading import Column, Figure, Reading, Table, Value, in_points, written
from vertebra.studies.regularisers import ALL, DEEP, NONE, TWO, Regularisers
from vertebra.studies.results import Results, Row
from vertebra.studies.statistics import Interval, interval, paired
from vertebra.studies.study import Cell

RATIO = 0.4
"""Of the paper's lower decay, 4e-5, to its higher one, 1e-4."""

SOURCE = "Revisiting ResNets (2021), table 2: on images held out of ImageNet's training set"

PUBLISHED: Mapping[str, tuple[tuple[float, float], ...]] = {
    "ResNet-50": ((0.797, 0.787), (0.824, 0.823), (0.822, 0.827)),
    "ResNet-200": ((0.825, 0.817), (0.852, 0.849), (0.853, 0.855)),
}
"""Network -> for none, two and all regularisers the figures at decay 1e-4 and 4e-5; with all,
ResNet-200 had stochastic depth too."""

LETTERS, DODGE = 14, 0.06


class Less(NamedTuple):
    """What a lower decay gave over the highest one, by seed, for each set of regularisers."""

    decay: float
    gains: tuple[Mapping[int, float], ...]

    @property
    def alone(self) -> Interval | None:
        """Without regularisers."""
        return _mean(self.gains[0])

    @property
    def together(self) -> Interval | None:
        """With all of them."""
        return _mean(self.gains[-1])

    @property
    def growth(self) -> Interval | None:
        """With all of them minus without."""
        return paired(self.gains[-1], self.gains[0])


class Grid(NamedTuple):
    """The rows of a study by set of regularisers and decay.

    cells: [sets][decays], the highest decay first.
    """

    sets: tuple[str, ...]
    decays: tuple[float, ...]
    cells: tuple[tuple[Row, ...], ...]

    @property
    def less(self) -> tuple[Less, ...]:
        """What each lower decay gave."""
        return tuple(
            Less(decay, tuple(_gains(rows[place], rows[0]) for rows in self.cells))
            for place, decay in enumerate(self.decays)
            if place
        )


def usual_decays(recipe: Recipe) -> tuple[float, float]:
    """Returns the recipe's weight decay and one lower in the paper's ratio.

    Raises:
        RecipeError: it has none.
    """
    decay = recipe.phases[-1].optimizer.weight_decay
    if decay <= 0:
        raise RecipeError(f"weight_decay={decay} has no lower one; give --decays 1e-4 4e-5")
    return decay, float(f"{RATIO * decay:.6g}")


def decay_cells(
    recipe: Recipe, decays: Sequence[float], regularisers: Regularisers
) -> tuple[Cell, ...]:
    """Returns a cell for each set of regularisers at each decay, the highest first.

    Raises:
        RecipeError: there are not two decays, or a value does not fit.
    """
    if len(decays) < 2 or len(set(decays)) < len(decays):
        said = " ".join(f"{decay:g}" for decay in decays)
        raise RecipeError(f"decays={said}; give two or more that differ, as --decays 1e-4 4e-5")
    ordered = sorted(decays, reverse=True)
    paper = PUBLISHED["ResNet-200" if regularisers.stochastic_depth else "ResNet-50"]
    return tuple(
        Cell(
            name=f"{name}, decay {decay:g}",
            recipe=vary(recipe, {**chosen.changes(recipe), **_decayed(recipe, decay)}),
            place={"regularisers": name, "decay": decay},
            published=_published(figures, decay / ordered[0]),
        )
        for (name, chosen), figures in zip(regularisers.sets.items(), paper, strict=True)
        for decay in ordered
    )


def _decayed(recipe: Recipe, decay: float) -> dict[str, float]:
    return {f"phases.{i}.optimizer.weight_decay": decay for i in range(len(recipe.phases))}


def _published(figures: tuple[float, float], ratio: float) -> float | None:
    """Returns the paper's figure at this share of the highest decay; None beside its columns."""
    for figure, theirs in zip(figures, (1.0, RATIO), strict=True):
        if isclose(ratio, theirs, rel_tol=1e-6):
            return figure
    return None


def read_decay(results: Results) -> Reading:
    """Returns the table of decays and regularisers, what it says, and its lines."""
    grid = _grid(results)
    shown = Figure(
        "Weight decay and regularisers",
        _plot(grid),
        "Whiskers are 95% intervals over the seeds. In the paper the lines cross: less decay is "
        "below on the left and above on the right.",
    )
    has_figures = any(row.figures() for row in results.rows)
    return Reading((_table(grid), _paper()), _findings(grid), (shown,) if has_figures else ())


def _grid(results: Results) -> Grid:
    cells = {(row.cell.place["regularisers"], row.cell.place["decay"]): row for row in results.rows}
    sets = tuple(dict.fromkeys(name for name, _ in cells))
    decays = tuple(sorted({decay for _, decay in cells}, reverse=True))
    return Grid(sets, decays, tuple(tuple(cells[name, each] for each in decays) for name in sets))


def _gains(ours: Row, theirs: Row) -> dict[int, float]:
    high = theirs.figures()
    return {seed: top1 - high[seed] for seed, top1 in ours.figures().items() if seed in high}


def _mean(gains: Mapping[int, float]) -> Interval | None:
    return interval(list(gains.values()))


def _table(grid: Grid) -> Table:
    columns = [Column("regularisers")]
    columns += [Column(f"decay {decay:g}", "share") for decay in grid.decays]
    rows: list[list[Value]] = [
        [name, *(row.mean() or row.state for row in rows)]
        for name, rows in zip(grid.sets, grid.cells, strict=True)
    ]
    for less in grid.less:
        which = "less decay" if len(grid.less) == 1 else f"{less.decay:g}"
        columns += [Column(f"{which} gave", "points"), Column(f"{which} over none", "points")]
        for place, row in enumerate(rows):
            gains = less.gains[place]
            row += [_mean(gains), paired(gains, less.gains[0]) if place else None]
    return Table(
        "Weight decay and regularisers",
        tuple(columns),
        tuple(map(tuple, rows)),
        "Top-1 is the mean over the seeds on the split that is reported, ± half of its 95% "
        f"interval. What less decay gave is in points over decay {grid.decays[0]:g}, paired by "
        "seed; over none is how much more that is than without regularisers.",
    )


def _paper() -> Table:
    rows = [
        (f"{network}, {name}", high, low, low - high)
        for network, figures in PUBLISHED.items()
        for name, (high, low) in zip(
            (NONE, TWO, ALL + DEEP * (network == "ResNet-200")), figures, strict=True
        )
    ]
    heads = Column("network, regularisers"), Column("1e-4", "share"), Column("4e-5", "share")
    note = f"{SOURCE}, without intervals; of another scale."
    return Table("The paper", (*heads, Column("less decay gave", "points")), tuple(rows), note)


def _findings(grid: Grid) -> tuple[str, ...]:
    found = [sentence for less in grid.less for sentence in _said(less, grid)]
    if all(len(gains) < 2 for less in grid.less for gains in less.gains) and found:
        found.append("With one seed no difference can be told from chance; give --seeds 3 or more.")
    chosen = {row.cell.name: row.selection() for rows in grid.cells for row in rows}
    means = {name: fmean(figures.values()) for name, figures in chosen.items() if figures}
    if means:
        best = max(means, key=lambda name: means[name])
        found.append(f"The split that chooses prefers {best} ({percent(means[best])}).")
    return tuple(found)


def _said(less: Less, grid: Grid) -> list[str]:
    """Returns whether the paper's reading holds, and whether less decay gains with regularisers."""
    alone, together, growth = less.alone, less.together, less.growth
    if alone is None or together is None:
        return []
    change = f"decay {less.decay:g} in place of {grid.decays[0]:g}"
    figures = (
        f"{change} gave {in_points(alone)} points without regularisers{_theirs(grid, less, 0)}"
    )
    figures += f" and {in_points(together)} with all of them{_theirs(grid, less, -1)}"
    if alone.half is None or together.half is None:
        return [f"{figures[0].upper()}{figures[1:]} ({number_of(alone.n, 'seed')})."]
    said = [f"{_verdict(alone, together)}: {figures}."]
    if growth is not None and growth.half is not None:
        more = f"{in_points(growth)} points more with all than with none"
        if growth.is_above_zero:
            said.append(f"The more is regularised, the better less decay does: {more}.")
        elif growth.is_below_zero:
            said.append(f"The more is regularised, the worse less decay does: {more}.")
        else:
            said.append(f"Whether regularisers change what less decay does is open: {more}.")
    return said


def _verdict(alone: Interval, together: Interval) -> str:
    """Returns whether less decay hurts alone and helps beside several regularisers."""
    if alone.is_below_zero and together.is_above_zero:
        verdict = "holds here"
    elif alone.is_above_zero or together.is_below_zero:
        verdict = "does not hold here"
    else:
        verdict = "is left open here"
    return f"That less decay hurts alone and helps beside several regularisers {verdict}"


def _theirs(grid: Grid, less: Less, place: int) -> str:
    """Returns " (paper: -1.00)" where the paper has both figures."""
    rows = grid.cells[place]
    low = rows[grid.decays.index(less.decay)].cell.published
    high = rows[0].cell.published
    return "" if low is None or high is None else f" (paper: {written(low - high, 'points')})"


def _plot(grid: Grid) -> Json:
    """Returns a line over the sets for each decay, a little apart so that whiskers do not hide."""
    data: list[Json] = []
    for column, decay in enumerate(grid.decays):
        shift = DODGE * (column - (len(grid.decays) - 1) / 2)
        means = [(place + shift, rows[column].mean()) for place, rows in enumerate(grid.cells)]
        points = [(x, mean) for x, mean in means if mean is not None]
        data.append(error_bars(Series(f"decay {decay:g}", points, look=column, kind=column)))
    return {
        "data": data,
        "layout": {
            "hovermode": "closest",
            "showlegend": True,
            "xaxis": {
                "tickmode": "array",
                "tickvals": list(range(len(grid.sets))),
                "ticktext": ["<br>".join(map(safe, wrap(name, LETTERS))) for name in grid.sets],
                "range": [-0.4, len(grid.sets) - 0.6],
                "zeroline": False,
            },
            "yaxis": {"title": {"text": "top-1 accuracy"}, "tickformat": ".3~p"},
        },
        "height": 360,
    }
