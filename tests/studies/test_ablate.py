"""The additive table against sums made by hand, and what it says when runs are missing."""

from dataclasses import replace
from statistics import fmean

import pytest
from scipy import stats
from tests.studies.made import RECIPE, record, results, row

from vertebra.errors import RecipeError
from vertebra.recipes.vary import vary
from vertebra.studies.ablate import additive_cells, read_ablation, rungs
from vertebra.studies.results import Results
from vertebra.studies.steps import Step
from vertebra.studies.study import Cell, Study

FOUND = {
    "plain": [0.50, 0.52, 0.54],
    "+ help": [0.60, 0.61, 0.65],
    "+ noise": [0.61, 0.60, 0.66],
    "+ harm": [0.55, 0.54, 0.605],
}
PARTS = {"plain": "", "+ help": "training", "+ noise": "training", "+ harm": "architecture"}
PAPER = {"plain": 0.790, "+ help": 0.804, "+ noise": 0.822, "+ harm": 0.834}


def ablation(found=FOUND, *, parts=PARTS, published=None, **changes):
    """Returns the results of an additive study."""
    places = {name: {"role": "step", "part": parts.get(name, "")} for name in found}
    made = results("ablate", found, places=places, published=published)
    return made._replace(study=replace(made.study, **changes))


def half(values):
    """Returns half the width of a 95% interval, by scipy."""
    low, high = stats.t.interval(0.95, len(values) - 1, fmean(values), stats.sem(values))
    return (high - low) / 2


def test_the_table_is_the_one_made_by_hand():
    (table,) = read_ablation(ablation()).tables
    assert [column.head for column in table.columns] == ["step", "top-1", "gain", "time", "memory"]
    gains = {
        "+ help": [0.1, 0.09, 0.11],
        "+ noise": [0.01, -0.01, 0.01],
        "+ harm": [-0.06, -0.06, -0.055],
    }
    for shown in table.rows:
        name, figure, gain, *_ = shown
        assert figure == pytest.approx((fmean(FOUND[name]), half(FOUND[name]), 3))
        if name in gains:
            assert gain == pytest.approx((fmean(gains[name]), half(gains[name]), 3))
        else:
            assert gain is None
    assert table.texts()[1] == ["+ help", "62.00% ± 6.57", "+10.00 ± 2.48", "1.00", "1.00"]


def test_the_findings_are_the_whole_way_the_parts_and_what_is_beyond_chance():
    assert read_ablation(ablation()).findings == (
        "The whole way gave +4.50 ± 5.69 points (3 seeds).",
        "The steps of training gave +10.33 ± 5.17.",
        "The steps of architecture gave -5.83 ± 0.72.",
        "Beyond chance helped: help.",
        "Beyond chance hurt: harm.",
    )


def test_the_papers_figures_stand_beside_with_their_scale_and_what_is_left_out():
    made = ablation(
        published=PAPER, source="A Paper (2021), table 1: 200 layers", facts={"note": "No fish."}
    )
    reading = read_ablation(made)
    (table,) = reading.tables
    assert [column.head for column in table.columns][-2:] == ["paper", "paper's gain"]
    assert [texts[-2:] for texts in table.texts()] == [
        ["79.00%", "-"],
        ["80.40%", "+1.40"],
        ["82.20%", "+1.80"],
        ["83.40%", "+1.20"],
    ]
    assert "The paper's figures: A Paper (2021), table 1: 200 layers. No fish." in table.note
    assert reading.findings[1:3] == (
        "The steps of training gave +10.33 ± 5.17 (paper: +3.2).",
        "The steps of architecture gave -5.83 ± 0.72 (paper: +1.2).",
    )


def test_the_papers_gain_needs_both_of_its_figures():
    made = ablation(published={name: PAPER[name] for name in ("+ help", "+ noise", "+ harm")})
    assert [rung.published_gain for rung in rungs(made)] == pytest.approx(
        [None, None, 0.018, 0.012]
    )


def test_parts_that_are_not_together_have_no_sum():
    mixed = {**PARTS, "+ noise": "architecture", "+ harm": "training"}
    findings = read_ablation(ablation(parts=mixed)).findings
    assert not any("training" in finding for finding in findings)
    assert "The steps of architecture gave +0.33 ± 2.87." in findings


def test_one_seed_has_gains_but_tells_nothing_from_chance():
    made = ablation({name: values[:1] for name, values in FOUND.items()})
    reading = read_ablation(made)
    assert reading.tables[0].texts()[1][1:3] == ["60.00%", "+10.00"]
    assert reading.findings[0] == "The whole way gave +5.00 points (1 seed)."
    assert reading.findings[-1].startswith(
        "With fewer than 3 seeds no step can be told from chance"
    )
    assert not any("Beyond chance" in finding for finding in reading.findings)


def test_where_no_step_is_beyond_chance_it_is_said():
    made = ablation({"plain": [0.5, 0.6, 0.5], "+ noise": [0.7, 0.55, 0.5]})
    assert read_ablation(made).findings[-1] == "Beyond chance helped: no single step."


def test_gains_are_paired_by_the_seeds_that_both_rows_have():
    made = ablation({"plain": [0.5, None, 0.7], "+ a": [0.6, 0.9, None], "+ b": [None, None, 0.8]})
    table = read_ablation(made).tables[0]
    assert [texts[1:3] for texts in table.texts()] == [
        ["60.00% ± 127.06", "-"],
        ["75.00% ± 190.59", "+10.00"],
        ["80.00%", "-"],
    ]


@pytest.mark.parametrize(
    ("state", "told"), [("failed", "failed"), ("stopped", "stopped"), ("missing", "missing")]
)
def test_a_row_without_a_figure_says_why(state, told):
    made = ablation({"plain": [0.5, 0.6], "+ a": [None, None], "+ b": [0.7, 0.8]})
    rows = [*made.rows]
    rows[1] = row(rows[1].cell, [None, None], state=state)
    reading = read_ablation(Results(made.study, tuple(rows)))
    assert [texts[1:] for texts in reading.tables[0].texts()][1] == [told, "-", "-", "-"]
    assert reading.tables[0].texts()[2][2] == "-", "there is no row before it to gain over"
    assert reading.findings[0].startswith("The whole way gave +20.00")


def test_what_is_known_is_said_though_the_last_row_is_missing():
    reading = read_ablation(ablation({**FOUND, "+ harm": [None, None, None]}))
    assert reading.findings == (
        "The steps of training gave +10.33 ± 5.17.",
        "Beyond chance helped: help.",
    )


def test_a_study_of_which_nothing_has_finished_reads_too():
    reading = read_ablation(ablation({"plain": [None, None], "+ a": [None, None]}))
    assert reading.findings == () and reading.figures == ()
    assert [texts[1] for texts in reading.tables[0].texts()] == ["missing", "missing"]


def test_records_without_a_top_1_are_rows_without_a_figure():
    made = ablation({"plain": [0.5], "+ a": [0.6]})
    rows = [row(each.cell, [record(None)]) for each in made.rows]
    assert read_ablation(Results(made.study, tuple(rows))).findings == ()


def test_time_and_memory_are_those_of_the_first_row():
    made = ablation({"plain": [0.5, 0.5, 0.5], "+ long": [0.6, 0.6, 0.6]})
    costs = (
        [(10.0, 100.0), (12.0, 100.0), (50.0, 100.0)],
        [(30.0, 150.0), (36.0, 150.0), (1.0, 150.0)],
    )
    rows = [
        row(
            each.cell,
            [record(0.5, train_seconds=time, peak_memory_mb=memory) for time, memory in cost],
        )
        for each, cost in zip(made.rows, costs, strict=True)
    ]
    read = rungs(Results(made.study, tuple(rows)))
    assert [(rung.time, rung.memory) for rung in read] == [(1.0, 1.0), (30.0 / 12.0, 1.5)]


def test_leaving_one_out_is_compared_with_all_of_them():
    found = {**FOUND, "all but help": [0.5, 0.5, 0.5]}
    made = ablation(found)
    cells = [*made.study.cells]
    rows = [*made.rows]
    cells[-1] = replace(cells[-1], place={"role": "all but one", "part": "training"})
    rows[-1] = rows[-1]._replace(cell=cells[-1])
    table = read_ablation(Results(made.study, tuple(rows))).tables[1]
    lost = [0.5 - value for value in FOUND["+ harm"]]
    assert [shown[0] for shown in table.rows] == ["all steps", "all but help"]
    assert table.rows[0][1:] == (rungs(made)[3].figure, None)
    assert table.rows[1][2] == pytest.approx((fmean(lost), half(lost), 3))


STEPS = [
    Step("+ longer", {"length": "x3"}, 0.5, "training"),
    Step("+ dropout", {"dropout": 0.1}, None, "training"),
    Step("+ wide", {"model.width": 0.25}, 0.6, "architecture"),
]


def test_cells_are_the_beginning_and_each_step_on_those_before():
    cells = additive_cells(Step("plain", {}, 0.4), RECIPE, STEPS, fitted=lambda recipe: recipe)
    assert [cell.name for cell in cells] == ["plain", "+ longer", "+ dropout", "+ wide"]
    assert [cell.published for cell in cells] == [0.4, 0.5, None, 0.6]
    assert [cell.recipe for cell in cells] == [
        RECIPE,
        vary(RECIPE, {"length": "30 epochs"}),
        vary(RECIPE, {"length": "30 epochs", "dropout": 0.1}),
        vary(RECIPE, {"length": "30 epochs", "dropout": 0.1, "model.width": 0.25}),
    ]
    assert {cell.place["role"] for cell in cells} == {"step"}


def test_every_row_is_fitted_by_itself_and_steps_build_on_what_is_not():
    cells = additive_cells(
        Step("plain", {}),
        RECIPE,
        STEPS[:2],
        fitted=lambda recipe: vary(recipe, {"length": "1 epoch"}),
    )
    assert {str(cell.recipe.phases[0].length) for cell in cells} == {"1 epoch"}


def test_leave_one_out_has_all_steps_but_each_of_the_earlier_ones():
    cells = additive_cells(
        Step("plain", {}), RECIPE, STEPS, fitted=lambda recipe: recipe, leaves_one_out=True
    )
    assert [cell.name for cell in cells[4:]] == ["all but longer", "all but dropout"]
    assert [cell.recipe for cell in cells[4:]] == [
        vary(RECIPE, {"dropout": 0.1, "model.width": 0.25}),
        vary(RECIPE, {"length": "30 epochs", "model.width": 0.25}),
    ]
    assert {cell.place["role"] for cell in cells[4:]} == {"all but one"}
    Study(kind="ablate", question="?", cells=cells).check()


def test_a_step_on_which_others_stand_cannot_be_left_out():
    steps = [
        Step("+ mixing", {"data.augment.mixing": {"mixup": 0.2}}),
        Step("+ more", {"data.augment.mixing.mixup": 0.8}),
    ]
    with pytest.raises(
        RecipeError, match=r"without '\+ mixing', step '\+ more' .*; leave out --le"
    ):
        additive_cells(
            Step("plain", {}), RECIPE, steps, fitted=lambda recipe: recipe, leaves_one_out=True
        )


def test_the_figure_has_a_stair_for_each_row():
    (figure,) = read_ablation(ablation()).figures
    assert figure.plot["layout"]["yaxis"]["ticktext"] == [*FOUND]
    assert figure.plot["data"][0]["marker"]["color"] == [
        "var(--green)",
        "var(--faint)",
        "var(--orange)",
    ]


def test_a_cell_keeps_what_the_reading_asks_for():
    (cell,) = additive_cells(Step("plain", {}), RECIPE, [], fitted=lambda recipe: recipe)
    assert cell == Cell(name="plain", recipe=RECIPE, place={"role": "step", "part": ""})
