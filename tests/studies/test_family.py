"""A family's members, the search for those within a budget, and the rules that rank them."""

from math import inf, log2

import pytest
from tests.studies.made import RECIPE
from tests.studies.test_scale import made

from vertebra.errors import RecipeError
from vertebra.models.resnet import ResNetSpec
from vertebra.models.timm import TimmSpec
from vertebra.recipes.recipe import Pretrained
from vertebra.recipes.vary import vary
from vertebra.studies.family import Family, Size, image_sizes
from vertebra.studies.family_rank import ByPath, ByStudy, over_fits
from vertebra.studies.family_search import MOST, Budget, search

MEDIUM = vary(
    RECIPE,
    {
        "model": ResNetSpec(blocks=(2, 2, 2, 2), block="basic", width=0.25, stem_pool=None),
        "data.preprocess.image_size": 32,
    },
)


@pytest.fixture(scope="module")
def family():
    """Members of a small network, each counted once in this module."""
    return Family(MEDIUM, classes=3)


@pytest.fixture(scope="module")
def candidates(family):
    """All members at four image sizes."""
    return family.candidates([16, 32, 48, 64])


def test_a_member_differs_by_its_size_alone(family):
    recipe = family.recipe(Size(2.0, 1.5, 96))
    assert recipe.model == ResNetSpec(
        blocks=(2, 2, 2, 2), block="basic", width=0.5, depth=1.5, stem_pool=None
    )
    assert recipe.phases[0].data.preprocess.image_size == 96
    assert (
        vary(recipe, {"model.width": 0.25, "model.depth": 1.0, "data.preprocess.image_size": 32})
        == MEDIUM
    )
    assert family.recipe(family.origin) == MEDIUM


def test_doublings_are_of_each_axis_alone_and_add_up(family):
    size = Size(2.0, 2.0, 64)
    through = family.doublings(size)
    assert through.width == pytest.approx(2, abs=0.1)
    assert 0.9 < through.depth < 1.3
    assert through.image_size == pytest.approx(2, abs=0.01)
    whole = log2(family.cost(size).macs / family.cost(family.origin).macs)
    assert sum(through) == pytest.approx(whole, abs=0.2)


def test_candidates_are_different_networks_around_the_recipe(family, candidates):
    assert family.origin in candidates
    assert {each.image_size for each in candidates} == {16, 32, 48, 64}
    assert {each.depth for each in candidates} == {0.5, 1, 1.5, 2, 3, 4}  # 0.75 of 2 blocks is 2
    widths = [family.cost(each)[:2] for each in candidates if each[1:] == (1, 32)]
    assert len({*widths}) == len(widths) > 5


def test_image_sizes_stay_within_what_the_images_have():
    assert image_sizes(32, largest=32) == [16, 24, 32]
    assert image_sizes(96, largest=500) == [48, 56, 64, 96, 128, 160, 192]
    assert image_sizes(24, largest=8) == [16, 24]


def test_weights_and_networks_without_a_width_have_no_family():
    with pytest.raises(RecipeError, match="fit one network"):
        Family(vary(MEDIUM, {"pretrained": Pretrained()}), classes=3)
    with pytest.raises(RecipeError, match="has no width to vary; choose a network that has"):
        Family(vary(MEDIUM, {"model": TimmSpec(name="resnet18")}), classes=3).candidates([32])


@pytest.mark.parametrize(
    ("text", "unit", "most"),
    [
        ("5ms", "ms", 5),
        ("0.005 s", "ms", 5),
        ("2.5 ms", "ms", 2.5),
        ("300M", "MACs", 3e8),
        ("1.5G", "MACs", 1.5e9),
        ("1e6", "MACs", 1e6),
    ],
)
def test_a_budget_is_an_amount_with_its_unit(text, unit, most):
    assert Budget.parse(text, unit) == Budget(pytest.approx(most), unit)


@pytest.mark.parametrize(
    ("text", "unit"), [("5", "ms"), ("0ms", "ms"), ("-1G", "MACs"), ("x", "ms")]
)
def test_another_budget_is_refused(text, unit):
    with pytest.raises(RecipeError, match=f"is no amount of {unit}; write"):
        Budget.parse(text, unit)


def bound_by_calls(family):
    """Returns a measurement as of a device on which depth costs and width hardly does."""
    seen = []

    def measure(sizes):
        seen.extend(sizes)
        through = [family.doublings(size) for size in sizes]
        return [2.0 ** (0.1 * x.width + 0.95 * x.depth + 0.3 * x.image_size) for x in through]

    return measure, seen


def by_macs(family):
    """Returns a score that wants as many multiply-adds as there can be."""
    return lambda size, share: sum(family.doublings(size))


@pytest.mark.parametrize("most", [0.4, 1.0, 3.0])
def test_search_finds_the_best_member_and_measures_few(family, candidates, most):
    measure, seen = bound_by_calls(family)
    found = search(
        family, candidates, budget=Budget(most, "ms"), score=by_macs(family), measure=measure
    )
    costs = dict(zip(candidates, measure(candidates), strict=True))
    within = [size for size, cost in costs.items() if cost <= most]
    assert next(iter(found.members)) == max(within, key=lambda size: sum(family.doublings(size)))
    assert len(seen) - len(candidates) <= MOST
    assert len(set(seen)) == len(candidates) and len(candidates) > 3 * MOST
    assert found.largest is None
    assert found.members == {size: costs[size] for size in found.members}


def test_a_budget_for_the_whole_family_names_the_largest(family, candidates):
    measure, _ = bound_by_calls(family)
    found = search(
        family, candidates, budget=Budget(1e6, "ms"), score=by_macs(family), measure=measure
    )
    assert found.largest[0] == next(iter(found.members)) == Size(4, 4, 64)


def test_a_budget_for_none_names_the_one_that_costs_least(family, candidates):
    measure, _ = bound_by_calls(family)
    with pytest.raises(
        RecipeError, match=r"fits 0.01 ms: the one .*, width x\S+, depth x0.5, 16 px"
    ):
        search(
            family, candidates, budget=Budget(0.01, "ms"), score=by_macs(family), measure=measure
        )


def test_members_that_cannot_be_measured_fit_no_budget(family, candidates):
    measure, _ = bound_by_calls(family)

    def failing(sizes):
        pairs = zip(sizes, measure(sizes), strict=True)
        return [None if size.width > 1 else cost for size, cost in pairs]

    found = search(
        family, candidates, budget=Budget(1.0, "ms"), score=by_macs(family), measure=failing
    )
    assert max(size.width for size in found.members) == 1
    with pytest.raises(RecipeError, match="can be measured here; give another --device"):
        search(
            family,
            candidates,
            budget=Budget(1.0, "ms"),
            score=by_macs(family),
            measure=lambda sizes: [None for _ in sizes],
        )


def test_over_fitting_takes_long_training_or_few_images():
    assert over_fits(epochs=350, images=1_281_167)
    assert not over_fits(epochs=10, images=1_281_167)
    assert over_fits(epochs=30, images=5_000)
    assert not over_fits(epochs=30, images=1_281_167)


@pytest.mark.parametrize(("epochs", "deeper"), [(30, True), (5, False)])
def test_path_grows_the_favoured_axis(family, candidates, epochs, deeper):
    rule = ByPath(family, candidates, epochs=epochs, images=1000)
    best = max(candidates, key=lambda size: rule.score(size, _share(family, size, most=3)))
    through = family.doublings(best)
    favoured, other = through[:2][::-1] if deeper else through[:2]
    assert favoured > 1 > abs(other) and through.image_size > 0
    first, second = ("depth", "width") if deeper else ("width", "depth")
    assert f"so {first} before {second}" in rule.said


def test_path_goes_no_further_than_the_images(family):
    flat = [size for size in family.candidates([32])]
    rule = ByPath(family, flat, epochs=100, images=1000)
    best = max(flat, key=lambda size: rule.score(size, _share(family, size, most=2)))
    assert best == Size(1, 3, 32) or best == Size(1, 4, 32)


def _share(family, size, *, most):
    """Returns the share of a budget of `most` doublings over the origin; none above it."""
    share = 2 ** (sum(family.doublings(size)) - most)
    return share if share <= 1 else inf if share < 0 else 1e-9


STUDIED = {"blocks": (2, 2, 2, 2), "block": "basic", "stem_pool": None}


def studied(law):
    """Returns a study of the same network, with the sizes of its cells in their recipes."""
    study = made(law)
    family = Family(MEDIUM, classes=3)
    rows = []
    for row in study.rows:
        place = row.cell.place
        size = Size(place["width"], place["depth"], place["image_size"])
        rows.append(row._replace(cell=_with_recipe(row.cell, family.recipe(size))))
    return study._replace(rows=tuple(rows))


def _with_recipe(cell, recipe):
    return type(cell)(name=cell.name, recipe=recipe, place=cell.place)


def test_a_study_ranks_by_its_plane_within_what_it_has_tried(family, candidates):
    law = studied(lambda epochs, x: 0.5 + (0.04 if epochs == 4 else 0.01) * x[0] + 0.02 * x[1])
    short = ByStudy(family, law, epochs=5)
    assert short.score(Size(2, 1, 32), 1) == pytest.approx(
        0.04 * family.doublings(Size(2, 1, 32))[0]
    )
    assert short.score(Size(2, 1, 32), 1) > short.score(Size(1, 2, 32), 1)
    long = ByStudy(family, law, epochs=60)
    assert long.score(Size(1, 2, 32), 1) > long.score(Size(2, 1, 32), 1)
    assert long.score(Size(1, 4, 32), 1) == -inf
    assert long.score(Size(1, 1, 40), 1) == -inf
    assert "plane at 16 epochs" in long.said
    assert long.reason(Size(1, 1, 32), 0.5) == "+0.00 points expected over the recipe's own"


def test_a_study_that_tried_other_sizes_leaves_nothing_to_search(family):
    measure, _ = bound_by_calls(family)
    rule = ByStudy(family, studied(lambda _, x: 0.5 + 0.02 * x[1]), epochs=5)
    budget, outside = Budget(1.0, "ms"), [Size(4, 4, 32), Size(1, 1, 64)]
    with pytest.raises(RecipeError, match="none lies within the sizes that the study has tried"):
        search(family, outside, budget=budget, score=rule.score, measure=measure)


def test_a_study_of_another_network_or_kind_is_refused(family):
    study = studied(lambda _, x: 0.5 + 0.02 * x[1])
    other = Family(vary(MEDIUM, {"model.form": "D"}), classes=3)
    with pytest.raises(RecipeError, match=r"of resnet18 .*, and this recipe has resnet18d "):
        ByStudy(other, study, epochs=5)
    with pytest.raises(RecipeError, match="too few rows of the study have finished at 4 epochs"):
        ByStudy(family, study._replace(rows=study.rows[:2]), epochs=5)
