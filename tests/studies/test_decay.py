"""The study of weight decay: what its cells differ in, and what its table says."""

from dataclasses import replace

import pytest
from tests.studies.made import RECIPE, results

from vertebra.data.mixing import Mixing
from vertebra.data.randaugment import RandAugment
from vertebra.errors import RecipeError
from vertebra.models.resnet import ResNetSpec
from vertebra.recipes.resnet_rs import resnet_rs
from vertebra.recipes.shelf import load
from vertebra.recipes.small import small
from vertebra.recipes.vary import differences, vary
from vertebra.studies.decay import decay_cells, read_decay, usual_decays
from vertebra.studies.regularisers import regularisers_of

SETS = ("none", "RandAugment, label smoothing", "+ dropout")
DECAYS = (1e-4, 4e-5)


def cells_of(recipe, **given):
    return decay_cells(recipe, usual_decays(recipe), regularisers_of(recipe, **given))


def read_from(lower, higher, *, decays=DECAYS, published=True):
    """Reads a table; `lower` and `higher` hold for each set the figures of the seeds."""
    found = {}
    for name, high, low in zip(SETS, higher, lower, strict=True):
        found |= {(name, decays[0]): high, (name, decays[1]): low}
    names = {key: f"{key[0]}, decay {key[1]:g}" for key in found}
    paper = {cell.name: cell.published for cell in cells_of(small())} if published else {}
    return read_decay(
        results(
            "decay",
            {names[key]: figures for key, figures in found.items()},
            places={names[key]: {"regularisers": key[0], "decay": key[1]} for key in found},
            published=paper,
        )
    )


def test_cells_of_a_set_differ_in_decay_alone():
    cells = cells_of(small())
    assert [cell.place["decay"] for cell in cells] == [1e-4, 4e-5] * 3
    for high, low in zip(cells[::2], cells[1::2], strict=True):
        assert differences(high.recipe, low.recipe) == {"optimizer.weight_decay": (1e-4, 4e-5)}


def test_sets_differ_in_their_regularisers_alone_and_take_the_recipes_own():
    none, two, all_of_them = (cell.recipe for cell in cells_of(small())[::2])
    paths = {path.split(".rand_augment")[0] for path in differences(none, two)}
    assert paths == {"data.augment", "method.loss.smoothing"}
    assert differences(two, all_of_them) == {"dropout": (0.0, 0.25)}
    assert differences(two, small()) == {}  # the recipe's own operations, smoothing and decay


def test_the_first_set_has_nothing_that_regularises():
    busy = vary(
        resnet_rs(200, 256),
        {"data.augment.mixing": Mixing(mixup=0.2), "optimizer.weight_decay": 1e-4},
    )
    cells = cells_of(busy)
    none = cells[0].recipe
    augment = none.phases[0].data.augment
    assert (augment.rand_augment, augment.mixing, augment.erase) == (None, None, None)
    assert none.phases[0].method.loss.smoothing == none.dropout == none.model.stochastic_depth == 0
    full = cells[-1].recipe
    assert (full.dropout, full.model.stochastic_depth) == (0.25, 0.1)
    assert full.phases[0].data.augment.mixing is None
    assert differences(full, busy).keys() == {
        "optimizer.weight_decay",
        *(path for path in differences(full, busy) if path.startswith("data.augment.mixing")),
    }


def test_a_recipe_without_regularisers_gets_the_papers():
    taken = regularisers_of(RECIPE)
    assert taken.rand_augment == RandAugment(pool="tf", count=2, magnitude=10, reference_px=224)
    assert (taken.smoothing, taken.dropout, taken.stochastic_depth) == (0.1, 0.25, 0.0)


def test_flags_win_over_the_recipe_and_name_the_row():
    cells = cells_of(small(), dropout=0.1, stochastic_depth=0.05)
    last = cells[-1]
    assert last.name == "+ dropout, stochastic depth, decay 4e-05"
    assert (last.recipe.dropout, last.recipe.model.stochastic_depth) == (0.1, 0.05)


def test_published_figures_are_those_of_the_like_network_and_of_the_papers_ratio():
    assert [cell.published for cell in cells_of(small())] == [
        0.797, 0.787, 0.824, 0.823, 0.822, 0.827,
    ]  # fmt: skip
    deep = cells_of(small(), stochastic_depth=0.1)
    assert [cell.published for cell in deep[-2:]] == [0.853, 0.855]
    three = decay_cells(small(), (5e-4, 1e-3, 4e-4), regularisers_of(small()))
    assert [cell.place["decay"] for cell in three[:3]] == [1e-3, 5e-4, 4e-4]
    assert [cell.published for cell in three[:3]] == [0.797, None, 0.787]


@pytest.mark.parametrize("name", ["byol", "mixskd", "co-training", "fixmatch"])
def test_a_recipe_that_learns_from_more_than_labels_is_refused(name):
    with pytest.raises(RecipeError, match=r"learns from more than labels.*choose a supervised"):
        regularisers_of(load(name))


def test_values_that_make_no_study_are_refused():
    with pytest.raises(RecipeError, match=r"dropout=0\.0 adds nothing"):
        regularisers_of(small(), dropout=0.0)
    ghost = replace(small(), model=load("arch-net").model)
    with pytest.raises(RecipeError, match="has no stochastic depth to set"):
        regularisers_of(ghost, stochastic_depth=0.1)
    with pytest.raises(RecipeError, match=r"weight_decay=0\.0 has no lower one"):
        usual_decays(vary(small(), {"optimizer.weight_decay": 0.0}))
    for decays in ((1e-4,), (1e-4, 1e-4)):
        with pytest.raises(RecipeError, match="give two or more that differ"):
            decay_cells(small(), decays, regularisers_of(small()))


def test_the_network_without_a_rate_keeps_it_out_of_its_changes():
    assert "model.stochastic_depth" not in regularisers_of(RECIPE).changes(RECIPE)
    deep = replace(RECIPE, model=ResNetSpec(blocks=(1, 1, 1, 1), stochastic_depth=0.2))
    assert regularisers_of(deep).sets["none"].changes(deep)["model.stochastic_depth"] == 0


HIGHER = ([0.70, 0.72, 0.71], [0.75, 0.76, 0.74], [0.75, 0.77, 0.76])
AS_IN_PAPER = ([0.69, 0.709, 0.701], [0.75, 0.761, 0.739], [0.76, 0.781, 0.769])


def test_the_papers_reading_holds_where_both_differences_are_beyond_chance():
    reading = read_from(AS_IN_PAPER, HIGHER)
    assert reading.findings[0] == (
        "That less decay hurts alone and helps beside several regularisers holds here: decay "
        "4e-05 in place of 0.0001 gave -1.00 ± 0.25 points without regularisers (paper: -1.00) "
        "and +1.00 ± 0.25 with all of them (paper: +0.50)."
    )
    assert reading.findings[1].startswith("The more is regularised, the better less decay does")
    assert "+2.00" in reading.findings[1]
    assert reading.findings[2] == (
        "The split that chooses prefers + dropout, decay 4e-05 (77.00%)."
    )


def test_the_table_pairs_by_seed_and_takes_the_difference_of_differences():
    table = read_from(AS_IN_PAPER, HIGHER).tables[0]
    none, _, full = table.texts()
    assert none[0] == "none"
    assert none[3:] == ["-1.00 ± 0.25", "-"]
    assert full[3] == "+1.00 ± 0.25"
    # by seed -1.0, -1.1, -0.9 alone and 1.0, 1.1, 0.9 together: 2.0, 2.2, 1.8
    assert full[4] == "+2.00 ± 0.50"
    assert full[1].startswith("76.00% ± ")


def test_the_paper_stands_beside_it_with_both_networks():
    paper = read_from(AS_IN_PAPER, HIGHER).tables[1]
    assert paper.texts()[0] == ["ResNet-50, none", "79.70%", "78.70%", "-1.00"]
    assert paper.texts()[-1] == [
        "ResNet-200, + dropout, stochastic depth", "85.30%", "85.50%", "+0.20",
    ]  # fmt: skip


def test_the_opposite_is_told_as_such():
    reading = read_from(HIGHER, AS_IN_PAPER)
    assert "several regularisers does not hold here" in reading.findings[0]
    assert "+1.00 ± 0.25 points without regularisers" in reading.findings[0]
    assert reading.findings[1].startswith("The more is regularised, the worse less decay does")


def test_what_is_within_chance_is_left_open():
    noisy = ([0.75, 0.68, 0.70], [0.75, 0.76, 0.74], [0.72, 0.80, 0.77])
    reading = read_from(noisy, HIGHER)
    assert "is left open here" in reading.findings[0]
    assert reading.findings[1].startswith("Whether regularisers change what less decay does is op")


def test_one_seed_says_nothing_of_chance():
    lower, higher = ([[each[0]] for each in grid] for grid in (AS_IN_PAPER, HIGHER))
    reading = read_from(lower, higher)
    assert reading.findings[0].startswith("Decay 4e-05 in place of 0.0001 gave -1.00 points")
    assert "holds" not in " ".join(reading.findings)
    assert "With one seed no difference can be told from chance" in reading.findings[1]


def test_an_unfinished_study_reads_with_what_there_is():
    lower = ([0.69, 0.709, None], [None] * 3, [None] * 3)
    reading = read_from(lower, HIGHER)
    assert [row[2] for row in reading.tables[0].texts()][1:] == ["missing", "missing"]
    assert reading.tables[0].texts()[0][3] == "-1.05 ± 0.64"
    assert len(reading.findings) == 1  # which cell the split that chooses prefers
    nothing = read_from([[None] * 3] * 3, [[None] * 3] * 3)
    assert nothing.findings == nothing.figures == ()


def test_the_figure_has_a_line_for_each_decay_and_leaves_gaps():
    lower = (AS_IN_PAPER[0], [None] * 3, AS_IN_PAPER[2])
    plot = read_from(lower, HIGHER).figures[0].plot
    assert [trace["name"] for trace in plot["data"]] == ["decay 0.0001", "decay 4e-05"]
    assert [round(x) for x in plot["data"][1]["x"]] == [0, 2]
    assert plot["data"][0]["error_y"]["array"][0] == pytest.approx(0.0248, abs=1e-4)
    assert plot["layout"]["xaxis"]["ticktext"][1] == "RandAugment,<br>label<br>smoothing"


def test_further_decays_have_their_own_columns_and_sentences():
    names = [(name, decay) for name in SETS for decay in (1e-3, 1e-4, 1e-5)]
    figures = {f"{name} {decay}": [0.5 + i / 100, 0.51 + i / 100] for i, (name, decay) in
               enumerate(names)}  # fmt: skip
    places = {f"{n} {d}": {"regularisers": n, "decay": d} for n, d in names}
    reading = read_decay(results("decay", figures, places=places))
    heads = [column.head for column in reading.tables[0].columns]
    assert heads[4:] == ["0.0001 gave", "0.0001 over none", "1e-05 gave", "1e-05 over none"]
    assert sum("in place of 0.001" in finding for finding in reading.findings) == 2
    assert "(paper" not in " ".join(reading.findings)
