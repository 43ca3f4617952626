"""How networks grow by either rule, and what is said of the two."""

from dataclasses import replace

import pytest
from tests.studies.made import RECIPE, record, results, row

from vertebra.data.randaugment import RandAugment
from vertebra.errors import RecipeError
from vertebra.models.timm import TimmSpec
from vertebra.recipes.fit import with_image_size
from vertebra.recipes.vary import vary
from vertebra.studies.growth import Growth, grown, image_size, parse_magnitudes
from vertebra.studies.kinds import read
from vertebra.studies.resolution import gains, pooled, resolution_cells
from vertebra.studies.results import Results

BASE = with_image_size(RECIPE, 64).recipe


def count(recipe) -> int:
    """Multiply-adds of a network that grows without rounding."""
    return int(1e6 * recipe.model.depth * recipe.model.width**2 * image_size(recipe) ** 2)


def members(base=BASE, **changes):
    return list(grown(base, Growth(**changes), count_macs=count))


def test_the_compound_rule_multiplies_depth_width_and_side():
    third = next(each for each in members() if (each.rule, each.phi) == ("compound", 3))
    assert third.recipe.model.depth == pytest.approx(1.2**3)
    assert third.recipe.model.width == pytest.approx(0.125 * 1.1**3, abs=1e-4)
    assert image_size(third.recipe) == 96  # 64 x 1.15^3 = 97.3, of multiples of 4


def test_slow_members_cost_nearly_as_much_on_smaller_images_and_are_deeper():
    found = {(each.rule, each.phi): each.recipe for each in members()}
    assert found["base", 0] == BASE
    for phi in (1, 2, 3):
        slow, compound = found["slow", phi], found["compound", phi]
        assert 0.95 < count(slow) / count(compound) <= 1
        assert 64 <= image_size(slow) < image_size(compound)
        assert slow.model.depth > compound.model.depth
        assert slow.model.width <= compound.model.width
    assert image_size(found["slow", 3]) == 76  # 64 x 1.15^1.5 = 78.9, rounded down


def test_members_keep_the_stem_of_the_base():
    small = vary(BASE, {"data.preprocess.image_size": 24, "model.stem_pool": "max"})
    assert {each.recipe.model.stem_pool for each in members(small)} == {"max"}


def test_slowness_zero_leaves_the_images_as_they_are():
    assert {image_size(each.recipe) for each in members(slowness=0) if each.rule == "slow"} == {64}


def test_a_slow_member_that_rounds_to_the_compound_one_is_left_out():
    def rounded(recipe) -> int:
        return int(recipe.model.depth + 0.5) * image_size(recipe)

    tiny = vary(BASE, {"data.preprocess.image_size": 4})
    found = list(grown(tiny, Growth(members=2), count_macs=rounded))
    assert [each.rule for each in found] == ["base", "compound"]


def test_efficientnets_keep_their_networks_and_get_other_sides():
    base = vary(BASE, {"model": TimmSpec(name="efficientnet_b0"), "data.preprocess.image_size": 96})
    found = {(each.rule, each.phi): each.recipe for each in members(base, members=8)}
    for phi, native in enumerate((240, 260, 300, 380, 456, 528, 600), start=1):
        compound, slow = found["compound", phi], found["slow", phi]
        assert compound.model == slow.model == TimmSpec(name=f"efficientnet_b{phi}")
        assert image_size(compound) == pytest.approx(native * 96 / 224, abs=2)
        assert image_size(slow) == pytest.approx((native * 224) ** 0.5 * 96 / 224, abs=4)
        assert image_size(slow) < image_size(compound)


def test_efficientnets_get_the_magnitude_of_their_native_side():
    weak = RandAugment(pool="tf", magnitude=1)
    base = vary(
        BASE, {"model": TimmSpec(name="efficientnet_b0"), "data.augment.rand_augment": weak}
    )

    def magnitudes(rule, **changes):
        found = [each.recipe for each in members(base, members=8, **changes) if each.rule == rule]
        return [each.phases[0].data.augment.rand_augment.magnitude for each in found]

    assert magnitudes("base") == [10]
    assert magnitudes("compound") == [15, 15, 15, 20, 20, 20, 20]
    assert magnitudes("slow") == [15, 15, 15, 15, 15, 20, 20]
    assert magnitudes("slow", magnitudes=()) == [1] * 7


def test_magnitudes_are_read_as_they_are_typed():
    assert parse_magnitudes("10@224,15@320,20") == Growth().magnitudes
    assert parse_magnitudes("none") == ()
    for text in ("10@224", "10@x,5", "1@3,2@2,3", ""):
        with pytest.raises(RecipeError, match="write them as 10@224"):
            parse_magnitudes(text)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (TimmSpec(name="resnet18"), "timm/resnet18 has no width and depth to vary; choose"),
        (TimmSpec(name="efficientnet_b6"), "members=4 from timm/efficientnet_b6 on; there are 2"),
        (TimmSpec(name="efficientnetv2_b0"), "has no width and depth to vary"),
    ],
)
def test_what_cannot_grow_is_refused(model, told):
    with pytest.raises(RecipeError, match=told):
        members(vary(BASE, {"model": model}))


@pytest.mark.parametrize("changes", [{"members": 1}, {"slowness": 1.0}, {"step_px": 0}])
def test_a_rule_that_makes_no_sense_is_refused(changes):
    with pytest.raises(RecipeError, match="give"):
        Growth(**changes)


def test_cells_say_where_they_stand_and_what_they_cost():
    cells = resolution_cells(BASE, Growth(members=2), classes=10, measure=False)
    assert [cell.name for cell in cells] == ["base", "compound 1", "slow 1"]
    base, compound, slow = (cell.place for cell in cells)
    assert (base["rule"], base["phi"], base["image_size"]) == ("base", 0, 64)
    assert base["macs"] < slow["macs"] <= compound["macs"]
    assert slow["latency_ms"] is None and slow["parameters"] > base["parameters"]
    assert base["network"] == "width 0.125 depth 1"


SEEDS = (0.00, 0.02, 0.01)
"""What a seed does to every member alike."""


def place(rule, phi, macs, latency_ms):
    return {
        "rule": rule,
        "phi": phi,
        "network": "width 1 depth 1",
        "image_size": 32,
        "parameters": 1000,
        "macs": macs,
        "latency_ms": latency_ms,
    }


PLACES = {
    "base": place("base", 0, 1e6, 1.0),
    "compound 1": place("compound", 1, 2e6, 2.0),
    "slow 1": place("slow", 1, 2e6, 4.0),
    "compound 2": place("compound", 2, 4e6, 4.0),
    "slow 2": place("slow", 2, 4e6, 8.0),
}


def found(ahead=0.03, seeds=SEEDS):
    """Results in which every doubling of the cost gives 10 points, slow members `ahead` more."""
    tops = {"base": 0.5, "compound 1": 0.6, "compound 2": 0.7}
    tops |= {"slow 1": 0.6 + ahead, "slow 2": 0.7 + ahead}
    return results(
        "resolution",
        {name: [tops[name] + shift for shift in seeds] for name in PLACES},
        places=PLACES,
    )


def named(read_: Results, name):
    return next(row for row in read_.rows if row.cell.name == name)


COMPOUND = ("base", "compound 1", "compound 2")


def test_a_gain_is_read_off_the_compound_rules_curve_at_the_same_cost():
    all_rows = found()
    compound = [named(all_rows, name) for name in COMPOUND]
    ours = named(all_rows, "slow 1")
    assert gains(ours, compound, "macs") == pytest.approx({0: 0.03, 1: 0.03, 2: 0.03})
    assert gains(ours, compound, "latency_ms") == pytest.approx({0: -0.07, 1: -0.07, 2: -0.07})
    between = ours._replace(cell=replace(ours.cell, place=place("slow", 1, 2e6 * 2**0.5, 1.0)))
    assert gains(between, compound, "macs")[0] == pytest.approx(0.03 - 0.05)
    dearer = ours._replace(cell=replace(ours.cell, place=place("slow", 1, 5e6, None)))
    assert gains(dearer, compound, "macs") == gains(dearer, compound, "latency_ms") == {}


def test_members_are_averaged_within_a_seed():
    all_rows = found()
    slow = [named(all_rows, name) for name in ("slow 1", "slow 2")]
    gain, count_of = pooled(slow, [named(all_rows, name) for name in COMPOUND], "macs")
    assert gain is not None and count_of == 2 and gain.n == 3
    assert gain.mean == pytest.approx(0.03) and gain.half == pytest.approx(0, abs=1e-9)


def test_the_reading_chooses_by_latency_and_reports_both():
    reading = read(found())
    assert reading.findings[0].startswith("Let images grow as the compound rule has it (on the")
    assert "At equal MACs slow scaling gave +3.00 ± 0.00 points" in reading.findings[1]
    assert "averaged over 2 members (3 seeds)" in reading.findings[1]
    assert "At equal latency slow scaling gave -7.00" in reading.findings[2]
    assert any("100.0% to 100.0% of the MACs" in each for each in reading.findings)
    (table,) = reading.tables
    assert table.texts()[2][0] == "slow 1"
    assert table.texts()[2][-2:] == ["+3.00 ± 0.00", "-7.00 ± 0.00"]
    assert table.texts()[1][-2:] == ["-", "-"]
    macs, latency = reading.figures
    compound, slow = macs.plot["data"]
    assert compound["x"] == pytest.approx([1, 2, 4]) and slow["name"] == "slow"
    assert slow["y"] == pytest.approx([0.51, 0.64, 0.74])
    assert latency.plot["data"][1]["x"] == [1, 4, 8]


def test_the_choice_goes_by_the_split_that_chooses():
    all_rows = found()
    rows = []
    for each in all_rows.rows:
        worse = {"top1": 0.9 if each.cell.name.startswith("slow") else 0.1}
        records = [record(own.figures["top1"], selection=worse) for own in each.records.values()]
        rows.append(row(each.cell, records))
    findings = read(all_rows._replace(rows=tuple(rows))).findings
    assert findings[0].startswith("Let images grow slowly")


def test_one_seed_tells_nothing():
    assert read(found(seeds=(0.0,))).findings[0].startswith("With one seed no rule can be told")


def test_an_unfinished_study_reads():
    none = results("resolution", {name: [None, None] for name in PLACES}, places=PLACES)
    reading = read(none)
    assert reading.figures == () and "missing" in reading.tables[0].texts()[0]
    some = {name: [0.5, None] for name in PLACES} | {"compound 1": [None, 0.5]}
    assert read(results("resolution", some, places=PLACES)).tables[0].texts()[1][6] == "50.00%"


def test_a_phi_with_one_network_for_both_rules_is_told():
    kept = found()
    fewer = kept._replace(rows=tuple(r for r in kept.rows if r.cell.name != "slow 1"))
    assert any("the same network at phi = 1" in each for each in read(fewer).findings)
