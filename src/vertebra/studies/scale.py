"""How to scale a network: width, depth, image size and length of training as a grid.

Source: Revisiting ResNets: Improved Training and Scaling Strategies (2021), section 6 and the
scaling experiments of its appendix.
Differs: any network, sizes and lengths; regularisation stays the same, where the paper raises it
with the size. The latency of each network is measured here.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from vertebra.errors import RecipeError
from vertebra.recipes.recipe import Recipe
from vertebra.studies.axes import with_epochs
from vertebra.studies.costs import Cost
from vertebra.studies.family import Family, Size
from vertebra.studies.reading import Column, Figure, Reading, Table, Value
from vertebra.studies.results import Results, Row
from vertebra.studies.scale_figures import error_against
from vertebra.studies.scale_findings import scale_findings
from vertebra.studies.scale_fits import AXES, Point, gains, laws, points, size_steps
from vertebra.studies.study import Cell


class Grid(NamedTuple):
    """What is varied, each with each.

    widths, depths: times those of the recipe's network; sizes: of the images in pixels; lengths: of
    the training in epochs.
    """

    widths: Sequence[float]
    depths: Sequence[float]
    sizes: Sequence[int]
    lengths: Sequence[float]

    @property
    def members(self) -> list[Size]:
        """The networks at each image size."""
        return [Size(*each) for each in product(self.widths, self.depths, self.sizes)]


def grid(
    recipe: Recipe,
    *,
    widths: Sequence[float],
    depths: Sequence[float],
    sizes: Sequence[int] = (),
    lengths: Sequence[float] = (),
) -> Grid:
    """Returns what is asked for, each value once; no sizes are 1/2, 3/4 and the whole of the
    recipe's, no lengths 1/4 and the whole."""
    phase = recipe.phases[-1]
    side = phase.data.preprocess.image_size
    usual_sizes = [round(share * side) for share in (0.5, 0.75, 1)]
    usual_lengths = [round(share * phase.length.value, 2) for share in (0.25, 1)]
    return Grid(
        sorted({*widths}),
        sorted({*depths}),
        sorted({*(sizes or usual_sizes)}),
        sorted({*(lengths or usual_lengths)}),
    )


def scale_cells(
    family: Family, costs: Mapping[Size, Cost], lengths: Sequence[float]
) -> tuple[Cell, ...]:
    """Returns a cell for each member at each length, the shortest first.

    costs: of each member.

    Raises:
        RecipeError: two members are the same network, or a length does not fit.
    """
    known: dict[tuple[int, int, int], Size] = {}
    for size, cost in costs.items():
        twin = known.setdefault((size.image_size, cost.parameters, cost.macs), size)
        if twin != size:
            raise RecipeError(
                f"{twin.name} and {size.name} are the same network, for channels and blocks are "
                f"whole numbers; give widths and depths further apart"
            )
    return tuple(
        Cell(
            name=f"{size.name}, {length:g} epochs",
            recipe=with_epochs(family.recipe(size), length),
            place={
                **size._asdict(),
                "epochs": length,
                "doublings": list(family.doublings(size)),
                **cost._asdict(),
            },
        )
        for length in sorted(lengths)
        for size, cost in costs.items()
    )


def read_scale(results: Results) -> Reading:
    """Returns every row, what a doubling of the cost gives through each axis, and the laws."""
    by_length = points(results)
    tables = [_gains_table(by_length), _steps_table(by_length), _laws_table(by_length)]
    figures = [
        Figure(
            "Error against multiply-adds",
            error_against(by_length, "macs"),
            "The steps are the front of each length of training: nothing that costs as little "
            "errs less. Dotted: the power law through all rows of that length.",
        ),
        Figure("Error against latency on this device", error_against(by_length, "latency_ms")),
    ]
    return Reading(
        (*(table for table in tables if table.rows), _rows_table(results)),
        scale_findings(results, by_length),
        tuple(figure for figure in figures if figure.plot["data"]),
    )


def _gains_table(by_length: Mapping[float, Sequence[Point]]) -> Table:
    columns = [Column("epochs"), *(Column(f"through {_said(axis)}", "points") for axis in AXES)]
    columns += [
        Column("depth minus width", "points"),
        Column("r2", "ratio"),
        Column("rows", "number"),
    ]
    rows: list[tuple[Value, ...]] = []
    for epochs, cells in by_length.items():
        found = gains(cells)
        if found is not None:
            through = [found.through(axis) for axis in AXES]
            plane = found.plane
            rows.append((f"{epochs:g}", *through, found.depth_minus_width, plane.r2, plane.n))
    return Table(
        "What a doubling of the multiply-adds gives",
        tuple(columns),
        tuple(rows),
        "In points of top-1 on the split that is reported: the slopes of a plane through all rows "
        "of a length, each the mean of its seeds, ± half of their 95% intervals. r2 says how well "
        "the plane fits. Regularisation is the same in all rows.",
    )


def _steps_table(by_length: Mapping[float, Sequence[Point]]) -> Table:
    columns = (
        Column("epochs"),
        Column("image size"),
        Column("gain a doubling", "points"),
        Column("networks", "number"),
    )
    rows = [
        (f"{epochs:g}", f"{step.smaller} to {step.larger} px", step.gain, len(step.by_network))
        for epochs, cells in by_length.items()
        for step in size_steps(cells)
    ]
    return Table(
        "Larger images, step by step",
        columns,
        tuple(rows),
        "Points of top-1 for each doubling of the multiply-adds, mean over the networks ± half of "
        "its 95% interval.",
    )


def _laws_table(by_length: Mapping[float, Sequence[Point]]) -> Table:
    columns = (
        Column("epochs"),
        Column("error against"),
        Column("rows"),
        Column("exponent", "ratio"),
        Column("r2", "ratio"),
    )
    parts = {"all": "all", "smaller": "smaller half", "larger": "larger half"}
    titles = {"macs": "multiply-adds", "latency_ms": "latency"}
    rows = [
        (f"{epochs:g}", titles[law.cost], parts[law.part], law.exponent, law.line.r2)
        for epochs, cells in by_length.items()
        for cost in ("macs", "latency_ms")
        for law in laws(cells, cost)
    ]
    return Table(
        "Power laws",
        columns,
        tuple(rows),
        "Error = a constant x cost to the power of the exponent, by a line through the logarithms. "
        "Where the halves differ, or r2 is small, there is no such law.",
    )


def _rows_table(results: Results) -> Table:
    columns = (
        Column("width", "ratio"),
        Column("depth", "ratio"),
        Column("px", "number"),
        Column("epochs", "number"),
        Column("top-1", "share"),
        Column("MACs", "number"),
        Column("parameters", "number"),
        Column("latency, ms", "number"),
        Column("training", "seconds"),
    )
    return Table(
        "All rows",
        columns,
        tuple(map(_row, results.rows)),
        "Width and depth are times those of the recipe's network. Top-1 is the mean over the seeds "
        "on the split that is reported, ± half of its 95% interval. Latency is the median call of "
        f"one image{_measured(results)}; training is the median over the seeds.",
    )


def _row(row: Row) -> tuple[Value, ...]:
    place = row.cell.place
    where = [place[name] for name in ("width", "depth", "image_size", "epochs")]
    costs = [place[name] for name in ("macs", "parameters", "latency_ms")]
    return (*where, row.mean() or row.state, *costs, row.median(lambda each: each.train_seconds))


def _measured(results: Results) -> str:
    facts = results.study.facts
    if "device" not in facts:
        return ""
    return f" on {facts['device']} in {facts['precision']}"


def _said(axis: str) -> str:
    return axis.replace("_", " ")
