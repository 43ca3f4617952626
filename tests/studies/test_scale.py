"""A scaling study's reading: figures drawn from a known law give it back, and are said so."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from math import log2

import pytest
from tests.recipes.drawn import SMALLEST
from tests.studies.made import RECIPE, record, results, row

from vertebra.errors import RecipeError
from vertebra.recipes.vary import vary
from vertebra.studies.costs import Cost
from vertebra.studies.family import Doublings, Family, Size
from vertebra.studies.kinds import read
from vertebra.studies.results import Results
from vertebra.studies.scale import grid, scale_cells
from vertebra.studies.scale_figures import error_against
from vertebra.studies.scale_fits import gains, laws, points, size_steps, slackening

WIDTHS, DEPTHS, SIDES = (0.5, 1.0, 2.0), (0.5, 1.0, 2.0), (16, 24, 32)
MACS = 1e6

Accuracy = Callable[[float, Doublings], float]
"""What a cell reaches after so many epochs."""


def place(width: float, depth: float, side: int, epochs: float) -> Mapping[str, object]:
    doublings = Doublings(2 * log2(width), log2(depth), 2 * log2(side / 32))
    return {
        "width": width,
        "depth": depth,
        "image_size": side,
        "epochs": epochs,
        "doublings": list(doublings),
        "parameters": 1000,
        "macs": MACS * 2 ** sum(doublings),
        "latency_ms": 2**doublings.depth,
    }


def made(law: Accuracy, *, epochs: tuple[float, ...] = (4, 16), seeds: int = 2) -> Results:
    """Returns a whole grid whose figures follow the law; seeds lie 0.1 points apart."""
    sizes = product(epochs, WIDTHS, DEPTHS, SIDES)
    places = {f"{w} {d} {s} {e}": place(w, d, s, e) for e, w, d, s in sizes}
    found = {
        name: [
            law(each["epochs"], Doublings(*each["doublings"])) + 0.001 * (seed - (seeds - 1) / 2)
            for seed in range(seeds)
        ]
        for name, each in places.items()
    }
    return results("scale", found, places=places)


def width_first_then_depth(epochs: float, x: Doublings) -> float:
    """Returns what the paper found: width pays when training is short, depth when it is long, and
    the return of larger images diminishes."""
    width, depth = (0.03, 0.01) if epochs == 4 else (0.01, 0.03)
    return 0.6 + width * x.width + depth * x.depth - 0.01 * x.image_size**2


def test_slopes_of_a_known_law_come_back():
    found = gains(points(made(lambda _, x: 0.6 + 0.03 * x[0] + 0.01 * x[1] + 0.02 * x[2]))[16])
    assert found is not None
    assert [slope.mean for slope in found.plane.slopes] == pytest.approx([0.03, 0.01, 0.02])
    assert found.depth_minus_width is not None
    assert found.depth_minus_width.mean == pytest.approx(-0.02)
    assert found.depth_minus_width.is_below_zero


def test_an_axis_that_does_not_vary_has_no_slope():
    study = made(lambda _, x: 0.6 + 0.03 * x.width)
    flat = [cell for cell in points(study)[16] if cell.depth == 1]
    found = gains(flat)
    assert found is not None
    assert found.through("depth") is None and found.depth_minus_width is None
    assert found.through("width").mean == pytest.approx(0.03)


def test_exponent_of_a_known_power_law_comes_back():
    cells = points(made(lambda _, x: 1 - 0.4 * 2 ** (-0.25 * sum(x)), seeds=1))[16]
    for law in laws(cells, "macs"):
        assert law.exponent.mean == pytest.approx(-0.25)
        assert law.line.r2 == pytest.approx(1)
        assert law.error_at(MACS) == pytest.approx(0.4)


def test_steps_of_image_size_are_for_each_doubling():
    steps = size_steps(points(made(lambda _, x: 0.6 + 0.02 * x.image_size))[16])
    assert [(step.smaller, step.larger) for step in steps] == [(16, 24), (24, 32)]
    assert all(step.gain.mean == pytest.approx(0.02) and step.gain.n == 9 for step in steps)
    assert slackening(steps).mean == pytest.approx(0)


def test_both_strategies_are_found_where_they_hold():
    said = read(made(width_first_then_depth)).findings
    assert said[0].startswith(
        "At 16 epochs depth pays: a doubling of the multiply-adds gives +3.00"
    )
    assert said[1].startswith("At 4 epochs width pays: ")
    assert "first strategy (depth where over-fitting is possible, else width) holds here" in said[2]
    assert "its return diminishes) holds here: at 16 epochs" in said[3]
    assert said[-1].startswith("Regularisation is the same in every row")


def test_both_strategies_are_denied_where_they_do_not_hold():
    def law(epochs: float, x: Doublings) -> float:
        depth, width = (0.03, 0.01) if epochs == 4 else (0.01, 0.03)
        return 0.6 + width * x.width + depth * x.depth + 0.01 * x.image_size**2

    said = read(made(law)).findings
    assert "else width) does not hold here: depth paid at 4 epochs already" in said[2]
    assert "at 16 width paid, where it found depth ahead of long training" in said[2]
    assert "its return diminishes) does not hold here" in said[3]


def test_what_cannot_be_told_apart_is_said_so():
    said = read(
        made(lambda _, x: 0.6 + 0.02 * sum(x) + 0.05 * ((7 * x[0] + 3 * x[1]) % 5))
    ).findings
    assert "depth and width cannot be told apart" in said[0]
    assert "is neither confirmed nor refuted here" in said[2]


def test_a_strategy_that_holds_at_one_length_holds_in_part():
    said = read(made(lambda _, x: 0.6 + 0.03 * x.depth + 0.01 * x.width)).findings
    assert "else width) holds in part here: depth paid at 4 epochs already" in said[2]


def test_depth_that_only_harms_less_does_not_pay():
    said = read(made(lambda _, x: 0.6 - 0.03 * x.width - 0.01 * x.depth)).findings
    assert said[0].startswith("At 16 epochs depth is ahead, but gives nothing beyond chance")


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (0.0, "a law fits both halves, the large ones too"),
        (1.0, "but a law fits the small ones only, as the paper found"),
    ],
)
def test_power_law_is_looked_for_in_both_halves(bend, said):
    def law(_: float, x: Doublings) -> float:
        total = sum(x)
        return 1 - 0.4 * 2 ** (-0.25 * (total if total < -1 else -1 + (1 - bend) * (total + 1)))

    assert any(said in each for each in read(made(law)).findings)


def test_one_length_does_not_judge_a_strategy_about_lengths():
    said = read(made(width_first_then_depth, epochs=(16,))).findings
    assert any(each.endswith("give two of them to see whether it holds.") for each in said)


def test_the_most_accurate_row_is_chosen_by_the_images_that_choose():
    study = made(width_first_then_depth, epochs=(16,))
    lucky = record(0.25, selection={"top1": 1.0})
    worst = row(study.rows[0].cell, [lucky, lucky])
    said = read(study._replace(rows=(worst, *study.rows[1:]))).findings
    assert any(f"choose: {worst.cell.name} (25.00% ± 0.00 on those" in each for each in said)


def test_one_seed_says_that_rows_cannot_be_told_from_chance():
    reading = read(made(width_first_then_depth, seeds=1))
    assert any("With one seed no row can be told from chance" in each for each in reading.findings)
    assert reading.tables[-1].texts()[0][4] == "49.00%"


def test_an_unfinished_study_shows_what_is_there():
    study = made(width_first_then_depth)
    empty = [row(each.cell, [None, None], state="failed") for each in study.rows]
    nothing = read(study._replace(rows=tuple(empty)))
    assert nothing.findings == () and nothing.figures == ()
    assert {shown[4] for shown in nothing.tables[-1].rows} == {"failed"}
    few = read(study._replace(rows=(*study.rows[:3], *empty[3:])))
    assert few.findings[0].startswith("At 4 epochs too few rows have finished to tell")
    half = read(study._replace(rows=(*study.rows[:27], *empty[27:40], *study.rows[40:])))
    assert half.findings[0].startswith("At 16 epochs depth pays")


def test_without_latencies_there_is_one_figure():
    study = made(width_first_then_depth)
    assert [figure.title for figure in read(study).figures] == [
        "Error against multiply-adds",
        "Error against latency on this device",
    ]
    for each in study.rows:
        each.cell.place["latency_ms"] = None
    assert len(read(study).figures) == 1


def test_figure_has_a_front_a_law_and_rows_for_each_length():
    plot = error_against(points(made(width_first_then_depth)), "macs")
    front, law, rows = plot["data"][:3]
    assert len(plot["data"]) == 6
    assert len(rows["x"]) == 27 and rows["name"] == "4 epochs"
    assert front["y"] == sorted(front["y"], reverse=True) and front["x"] == sorted(front["x"])
    assert min(rows["y"]) == front["y"][-1]
    assert len(law["x"]) == 2


def test_names_are_no_markup_in_a_figure():
    study = made(width_first_then_depth, epochs=(4,))
    first = study.rows[0]
    bad = first._replace(cell=replace(first.cell, name="<b>"))
    plot = error_against(points(study._replace(rows=(bad, *study.rows[1:]))), "macs")
    assert plot["data"][2]["text"][0].startswith("<b>&lt;b&gt;</b>")


def test_cells_hold_place_and_cost_and_their_own_recipe():
    recipe = vary(RECIPE, {"model.blocks": (2, 2, 2, 2), "data.preprocess.image_size": 32})
    wanted = grid(recipe, widths=(1, 2), depths=(0.5, 1), sizes=(), lengths=())
    assert (wanted.sizes, wanted.lengths) == ([16, 24, 32], [2.5, 10])
    members = wanted.members[-3:]
    family = Family(recipe, classes=3)
    cells = scale_cells(family, {size: family.cost(size) for size in members}, wanted.lengths)
    assert [cell.name for cell in cells][:2] == [
        "width x2, depth x1, 16 px, 2.5 epochs",
        "width x2, depth x1, 24 px, 2.5 epochs",
    ]
    cell = cells[-1]
    assert cell.recipe.model.width == 0.25
    assert str(cell.recipe.phases[0].length) == "10 epochs"
    assert cell.place["doublings"][1:] == [0, 0] and 1 < cell.place["doublings"][0] < 2
    assert cell.place["latency_ms"] is None


def test_members_that_are_the_same_network_are_refused():
    family = Family(vary(RECIPE, {"model": SMALLEST}), classes=3)
    sizes = [Size(1, 0.5, 32), Size(1, 1, 32)]
    with pytest.raises(
        RecipeError, match="are the same network, for channels and blocks are whole"
    ):
        scale_cells(family, {size: Cost(*family.cost(size)[:2]) for size in sizes}, [1])
