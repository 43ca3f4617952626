"""What are more images worth, or cleaner labels? Shares of a training set, for networks of one or
several sizes.

Source: Revisiting Unreasonable Effectiveness of Data in Deep Learning Era (2017).
Differs: from hundreds of images on, where that had hundreds of millions. Wrong labels are drawn, of
a known rate; those of the web are wrong in ways of their own.
"""

from collections.abc import Mapping, Sequence

from vertebra.data.label_noise import LabelNoise
from vertebra.errors import RecipeError
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary
from vertebra.records import Json
from vertebra.report.quantities import count
from vertebra.studies.data_curves import TENFOLD, Curve, cleanest, curves, images_of
from vertebra.studies.data_findings import findings
from vertebra.studies.error_bars import Series, bare_line, error_bars
from vertebra.studies.reading import Column, Figure, Reading, Table, Value
from vertebra.studies.results import Results
from vertebra.studies.study import Cell
from vertebra.studies.updates import in_updates

POINT = 0.01

EQUAL: Mapping[str, str] = {
    "updates": "Every row has as many updates, so fewer images are seen more often.",
    "epochs": "Every row has as many epochs, so fewer images have fewer updates too: part of what "
    "more images gave is what longer training gave.",
}
"""What the rows have in common -> what that means."""


def data_cells(
    networks: Mapping[str, Recipe],
    images: Mapping[float, int],
    *,
    rates: Sequence[float] = (0.0,),
    updates_of: int | None = None,
) -> tuple[Cell, ...]:
    """Returns a cell for each network, rate of wrong labels and share of the images.

    networks:   what each is called, and its recipe on all images.
    images:     share of the training set -> how many images that is.
    updates_of: every cell has the updates that its epochs are with so many images; None leaves each
                its epochs.

    Raises:
        RecipeError: a recipe's length or images do not fit, or two shares are as many images.
    """
    cells: list[Cell] = []
    for network, recipe in networks.items():
        _require_plain(recipe, is_in_epochs=updates_of is None)
        base = recipe if updates_of is None else in_updates(recipe, updates_of)
        for rate in rates:
            noise = LabelNoise(rate=rate) if rate else None
            for share in sorted(images):
                place = {"network": network, "rate": rate, "share": share, "images": images[share]}
                poorer = vary(base, {"data.fraction": share, "data.label_noise": noise})
                whose = f"{network}, " if len(networks) > 1 else ""
                name = f"{whose}{_wrong(rate)}{share:.6g} of train"
                cells.append(Cell(name=name, recipe=poorer, place=place))
    if len(set(images.values())) < len(images):
        said = ", ".join(f"{share:g} is {n}" for share, n in images.items())
        raise RecipeError(f"two shares are as many images ({said}); give others")
    return tuple(cells)


def _require_plain(recipe: Recipe, *, is_in_epochs: bool) -> None:
    phase = recipe.phases[-1]
    if len(recipe.phases) > 1 or not phase.method.needs_labels:
        raise RecipeError(
            f"recipe {recipe.name!r} does more than to learn from labels in one phase, and this "
            f"study takes images of one; choose another, as small"
        )
    if phase.data.fraction < 1 or phase.data.label_noise is not None:
        raise RecipeError(
            "the recipe has data.fraction or data.label_noise, which this study sets itself; "
            "give --fractions and --noise"
        )
    if is_in_epochs and phase.length.unit != "epochs":
        raise RecipeError(f"length={phase.length}; for equal epochs give those, as --epochs 30")


def _wrong(rate: float) -> str:
    return f"{rate:.6g} of labels wrong, " if rate else ""


def read_data(results: Results) -> Reading:
    """Returns accuracy by images, the lines through it, what they say, and their figure."""
    read = curves(results)
    equal = EQUAL[results.study.facts["equal"]]
    shown = Figure(
        "Accuracy over images",
        _plot(read),
        f"Images are on a logarithmic axis. Whiskers are 95% intervals over the seeds. {equal}",
    )
    has_figures = any(row.figures() for row in results.rows)
    tables = (_accuracies(read, equal), _lines(read))
    return Reading(tables, findings(read), (shown,) if has_figures else ())


def _accuracies(read: Sequence[Curve], equal: str) -> Table:
    is_noisy = len({curve.rate for curve in read}) > 1
    columns = [Column("network"), Column("wrong labels", "share"), Column("of train", "share")]
    columns += [Column("images", "number"), Column("top-1", "share")]
    columns += [Column("by wrong labels", "points")] * is_noisy
    rows: list[tuple[Value, ...]] = []
    for curve in read:
        clean = cleanest(curve, read)
        for row, lost in zip(curve.rows, curve.over(clean), strict=True):
            figure = row.mean() or row.state
            shown = curve.network, curve.rate, row.cell.place["share"], images_of(row), figure
            rows.append((*shown, *[None if curve is clean else lost] * is_noisy))
    note = (
        "Top-1 is the mean over the seeds on the split that is reported, ± half of its 95% "
        f"interval. {equal}"
    )
    if is_noisy:
        note += " By wrong labels is what those did, in points against the fewest, paired by seed."
    return Table("Accuracy by images", tuple(columns), tuple(rows), note)


def _lines(read: Sequence[Curve]) -> Table:
    columns = (
        Column("network"),
        Column("wrong labels", "share"),
        Column("ten times as many", "points"),
        Column("r2", "ratio"),
        Column("off by", "points"),
        Column("a point takes", "ratio"),
        Column("ten times the most", "share"),
    )
    rows = [(curve.network, curve.rate, *_line_row(curve)) for curve in read]
    return Table(
        "Lines of accuracy over the logarithm of images",
        columns,
        tuple(rows),
        "Ten times as many images give so many points; the interval is the wider of that over the "
        "seeds and that of the line through the means. Off by is the farthest mean from the line. "
        "A point more takes so many times the images. The last column goes on with the line to ten "
        "times the most images here, where nothing was measured: lines bend near their ceiling.",
    )


def _line_row(curve: Curve) -> tuple[Value, ...]:
    line = curve.line
    if line is None:
        return ("three sizes are needed", None, None, None, None)
    factor = TENFOLD ** (POINT / line.slope.mean) if line.slope.is_above_zero else None
    beyond = line.at(TENFOLD * images_of(curve.rows[-1]))
    return line.slope, line.r2, line.miss, factor, beyond if beyond < 1 else "over 100%"


def _plot(read: Sequence[Curve]) -> Json:
    """Returns the means with whiskers, and the line through them; a colour is a network."""
    networks = list(dict.fromkeys(curve.network for curve in read))
    rates = list(dict.fromkeys(curve.rate for curve in read))
    data: list[Json] = []
    for curve in read:
        means = [(images_of(row), row.mean()) for row in curve.rows]
        points = [(float(images), mean) for images, mean in means if mean is not None]
        name = f"{curve.network}, {_wrong(curve.rate)}".removesuffix(", ")
        look, kind = networks.index(curve.network), rates.index(curve.rate)
        series = Series(name, points, look=look, kind=kind)
        data.append(error_bars(series, mode="markers"))
        if (line := curve.line) is not None and points:
            ends = points[0][0], points[-1][0]
            data.append(bare_line(series, ends, [line.at(images) for images in ends]))
    ticks = sorted({images_of(row) for curve in read for row in curve.rows})
    return {
        "data": data,
        "layout": {
            "hovermode": "closest",
            "showlegend": True,
            "xaxis": {
                "title": {"text": "images to learn from"},
                "type": "log",
                "tickmode": "array",
                "tickvals": ticks,
                "ticktext": [count(tick) for tick in ticks],
            },
            "yaxis": {"title": {"text": "top-1 accuracy"}, "tickformat": ".3~p"},
        },
        "height": 380,
    }
