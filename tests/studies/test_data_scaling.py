"""The study of images and labels: what its cells differ in, and what its lines say."""

from dataclasses import replace
from math import log10

import pytest
from tests.studies.made import RECIPE, record, row

from vertebra.data.label_noise import LabelNoise
from vertebra.duration import epochs, steps
from vertebra.engine.schedules import StepDecay
from vertebra.errors import RecipeError
from vertebra.recipes.recipe import Selection
from vertebra.recipes.shelf import load
from vertebra.recipes.small import small
from vertebra.recipes.vary import differences, vary
from vertebra.studies.data_scaling import data_cells, read_data
from vertebra.studies.log_line import log_line
from vertebra.studies.results import Results
from vertebra.studies.study import Cell, Study
from vertebra.studies.updates import in_updates

IMAGES = {0.01: 100, 0.1: 1000, 1.0: 10_000}
WOBBLE = (-0.002, 0.0, 0.002)


def read_from(curves, *, parameters=None, equal="updates"):
    """Reads {(network, rate): {images: [top-1 a seed]}}."""
    rows = []
    for (network, rate), sizes in curves.items():
        for images, figures in sizes.items():
            place = {"network": network, "rate": rate, "images": images, "share": images / 10_000}
            cell = Cell(name=f"{network} {rate} {images}", recipe=RECIPE, place=place)
            size = (parameters or {}).get(network, 1000)
            made = [None if each is None else record(each, parameters=size) for each in figures]
            rows.append(row(cell, made))
    cells = tuple(each.cell for each in rows)
    seeds = tuple(range(len(rows[0].runs)))
    study = Study(kind="data", question="?", cells=cells, seeds=seeds, facts={"equal": equal})
    return read_data(Results(study, tuple(rows)))


def drawn(slope, *, start=0.1, wobble=WOBBLE):
    """Returns figures on a line: `start` at 100 images, and `slope` for ten times as many."""
    return {
        images: [start + slope * log10(images / 100) + each for each in wobble]
        for images in IMAGES.values()
    }


def test_cells_of_equal_updates_differ_in_their_images_alone():
    cells = data_cells({"one": small()}, IMAGES, updates_of=10_000)
    assert [cell.name for cell in cells] == ["0.01 of train", "0.1 of train", "1 of train"]
    assert differences(cells[0].recipe, cells[2].recipe) == {"data.fraction": (0.01, 1.0)}
    phase = cells[0].recipe.phases[0]
    assert phase.length == steps(4688)  # 30 epochs of 10,000 images, 64 an update
    assert phase.schedule.warmup == steps(469)
    assert cells[0].recipe.selection.every == steps(157)


def test_cells_of_equal_epochs_are_the_recipe_on_fewer_images():
    cells = data_cells({"one": small()}, IMAGES)
    assert differences(cells[2].recipe, small()) == {}
    assert differences(cells[1].recipe, small()) == {"data.fraction": (0.1, 1.0)}


def test_wrong_labels_are_the_only_difference_to_clean_ones():
    cells = data_cells({"one": small()}, IMAGES, rates=(0.0, 0.4))
    clean, wrong = cells[1], cells[4]
    assert wrong.name == "0.4 of labels wrong, 0.1 of train"
    assert clean.recipe.phases[0].data.label_noise is None
    assert wrong.recipe.phases[0].data.label_noise == LabelNoise(rate=0.4)
    paths = differences(clean.recipe, wrong.recipe)
    assert all(path.startswith("data.label_noise") for path in paths)


def test_networks_are_named_where_there_are_several():
    wide = vary(small(), {"model.width": 0.5})
    cells = data_cells({"narrow": small(), "wide": wide}, IMAGES)
    assert cells[3].name == "wide, 0.01 of train"
    assert differences(cells[0].recipe, cells[3].recipe) == {"model.width": (0.25, 0.5)}


def test_milestones_and_steps_become_updates_too():
    schedule = StepDecay(milestones=(0.5, epochs(8)), warmup=steps(3))
    recipe = vary(RECIPE, {"schedule": schedule, "length": "10 epochs"})
    phase = in_updates(recipe, 640).phases[0]
    assert phase.length == steps(100)
    assert phase.schedule == StepDecay(milestones=(0.5, steps(80)), warmup=steps(3))
    whole = replace(recipe, selection=Selection(every=steps(7)))
    assert in_updates(whole, 640).selection.every == steps(7)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (load("noisy-student"), "takes images of one"),
        (load("byol"), "takes images of one"),
        (vary(small(), {"data.fraction": 0.5}), "give --fractions and --noise"),
        (vary(small(), {"data.label_noise": LabelNoise()}), "give --fractions and --noise"),
        (vary(small(), {"length": "100 steps"}), "for equal epochs give those"),
    ],
)
def test_recipes_that_make_no_study_are_refused(recipe, message):
    with pytest.raises(RecipeError, match=message):
        data_cells({"one": recipe}, IMAGES)


def test_shares_that_cannot_be_are_refused():
    with pytest.raises(RecipeError, match=r"two shares are as many images \(0\.1 is 9, 0\.11 is"):
        data_cells({"one": small()}, {0.1: 9, 0.11: 9})
    with pytest.raises(RecipeError, match=r"fraction=2\.0; give a share above 0, at most 1"):
        data_cells({"one": small()}, {1: 9, 2: 9})


def test_a_line_is_recovered_with_the_chance_of_its_seeds():
    figures = {
        images: {seed: 0.1 + slope * log10(images) for seed, slope in enumerate((0.1, 0.12, 0.14))}
        for images in IMAGES.values()
    }
    line = log_line(figures)
    assert line is not None
    assert line.slope.mean == pytest.approx(0.12)
    # the means lie on a line, but the seeds do not agree: 4.303 * 0.02 / sqrt(3)
    assert line.slope.half == pytest.approx(0.0497, abs=1e-4)
    assert (line.r2, line.miss) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))
    assert line.at(1e6) == pytest.approx(0.82)


def test_points_that_lie_on_no_line_widen_the_interval_of_seeds_that_agree():
    bent = {100: 0.1, 1000: 0.4, 10_000: 0.5}
    line = log_line({images: dict.fromkeys(range(3), y) for images, y in bent.items()})
    assert line is not None
    assert line.slope.mean == pytest.approx(0.2)
    assert line.slope.half is not None
    assert line.slope.half > 0.5
    assert line.miss == pytest.approx(2 / 30)


def test_a_line_leaves_out_seeds_that_lack_a_size_and_needs_three_sizes():
    figures = {10: {0: 0.1, 1: 0.9}, 100: {0: 0.2}, 1000: {0: 0.3}}
    line = log_line(figures)
    assert line is not None
    assert line.slope.mean == pytest.approx(0.1)
    assert (line.slope.half, line.slope.n) == (None, 1)
    assert log_line({10: {0: 0.1}, 100: {0: 0.2}}) is None
    assert log_line({10: {0: 0.1}, 100: {}, 1000: {0: 0.2}}) is None
    assert log_line({}) is None


def test_a_gain_is_told_with_where_it_would_lead_and_that_nothing_was_measured_there():
    reading = read_from({("net", 0.0): drawn(0.1)})
    assert reading.findings == (
        "net: ten times as many images gave +10.00 ± 0.00 points (r2 1.00, 3 seeds).",
        "net: ten times the 10,000 images here would give, if the line goes on, about 40.0%; "
        "nothing was measured there.",
    )
    shown = reading.tables[1].texts()[0]
    assert shown == ["net", "0.00%", "+10.00 ± 0.00", "1.00", "+0.00", "1.26", "40.00%"]
    assert reading.tables[0].texts()[1][2:] == ["10.00%", "1 k", "20.00% ± 0.50"]


def test_a_line_that_leaves_the_scale_says_so():
    reading = read_from({("net", 0.0): drawn(0.4)})
    assert "more than there is to gain" in reading.findings[1]
    assert reading.tables[1].rows[0][-1] == "over 100%"


def test_no_gain_beyond_chance_is_told_as_such():
    figures = {100: [0.3, 0.1, 0.2], 1000: [0.1, 0.3, 0.2], 10_000: [0.2, 0.2, 0.21]}
    reading = read_from({("net", 0.0): figures})
    assert "points, no gain beyond chance (3 seeds)" in reading.findings[0]
    assert reading.tables[1].rows[0][5] is None


@pytest.mark.parametrize(
    ("slopes", "told"),
    [
        ((0.1, 0.15), "The larger network gains more by more images: +5.00 ±"),
        ((0.15, 0.1), "The larger network gains less by more images: -5.00 ±"),
    ],
)
def test_slopes_of_two_networks_are_compared(slopes, told):
    small_slope, big_slope = slopes
    curves = {("big", 0.0): drawn(big_slope), ("little", 0.0): drawn(small_slope)}
    found = read_from(curves, parameters={"big": 2000, "little": 1000}).findings
    assert any(said.startswith(told) and "(big over little)" in said for said in found)
    assert any(said.startswith("At 10,000 images the split that chooses") for said in found)


def test_slopes_that_do_not_differ_beyond_chance_are_not_ranked():
    uneven = {100: [0.1, 0.13, 0.1], 1000: [0.22, 0.2, 0.2], 10_000: [0.3, 0.3, 0.33]}
    curves = {("big", 0.0): uneven, ("little", 0.0): drawn(0.1)}
    found = read_from(curves, parameters={"big": 2000}).findings
    assert any(said.startswith("Whether the larger network gains more") for said in found)


def test_what_wrong_labels_cost_is_paired_and_whether_more_images_bear_them():
    curves = {("net", 0.0): drawn(0.1), ("net", 0.4): drawn(0.12, start=0.05)}
    reading = read_from(curves)
    assert (
        reading.findings[1] == "net, 10,000 images: wrong labels gave, in points: 40% -1.00 ± 0.00."
    )
    assert reading.findings[2].startswith(
        "net: more images bear wrong labels better: at 40%, +4.00 ± 0.00 points between 100 and"
    )
    lost = [each[-1] for each in reading.tables[0].texts()]
    assert lost == ["-", "-", "-", "-5.00 ± 0.00", "-3.00 ± 0.00", "-1.00 ± 0.00"]


def test_wrong_labels_that_hurt_more_at_more_images_are_told():
    curves = {("net", 0.0): drawn(0.1), ("net", 0.2): drawn(0.05)}
    assert "more images bear wrong labels worse" in read_from(curves).findings[2]


def test_one_seed_says_nothing_of_chance():
    reading = read_from({("net", 0.0): drawn(0.1, wobble=(0.0,))})
    assert reading.findings == (
        "net: ten times as many images gave +10.00 points; with one seed that cannot be told from "
        "chance, give --seeds 3 or more.",
    )
    assert reading.tables[0].texts()[0][-1] == "10.00%"


def test_an_unfinished_study_reads_with_what_there_is():
    figures = {**drawn(0.1), 10_000: [None] * 3}
    reading = read_from({("net", 0.0): figures, ("net", 0.2): dict.fromkeys(figures, [None] * 3)})
    assert reading.findings == ()
    assert reading.tables[0].texts()[2][4] == "missing"
    assert reading.tables[1].texts()[0][2] == "three sizes are needed"
    assert len(reading.figures) == 1
    nothing = read_from({("net", 0.0): {images: [None] for images in IMAGES.values()}})
    assert nothing.figures == ()


def test_the_figure_has_a_logarithmic_axis_and_a_line_through_each_curve():
    curves = {("a<b", 0.0): drawn(0.1), ("a<b", 0.2): drawn(0.05)}
    plot = read_from(curves).figures[0].plot
    assert [trace["mode"] for trace in plot["data"]] == ["markers", "lines"] * 2
    assert plot["data"][2]["name"] == "a&lt;b, 0.2 of labels wrong"
    assert plot["data"][1]["x"] == [100.0, 10_000.0]
    assert plot["data"][1]["y"] == pytest.approx([0.1, 0.3])
    assert plot["layout"]["xaxis"]["type"] == "log"
    assert plot["layout"]["xaxis"]["ticktext"] == ["100", "1,000", "10,000"]


def test_equal_epochs_warn_that_training_grew_with_the_images():
    assert (
        "fewer updates too" in read_from({("net", 0.0): drawn(0.1)}, equal="epochs").tables[0].note
    )
    assert "as many updates" in read_from({("net", 0.0): drawn(0.1)}).tables[0].note
