"""Means, pairs, lines and planes against scipy, numpy and sums made by hand."""

import numpy as np
import pytest
from scipy import stats

from vertebra.studies.statistics import Interval, interval, line, paired, plane, quantile

DRAWN = np.random.default_rng(0)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_an_interval_is_that_of_student(count):
    values = DRAWN.normal(0.5, 0.1, count).tolist()
    low, high = stats.t.interval(0.95, count - 1, np.mean(values), stats.sem(values))
    found = interval(values)
    assert found is not None and found.half is not None and found.n == count
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))


def test_an_interval_made_by_hand():
    # deviation 1 over three values: 4.3027 / sqrt(3)
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.4841, 3), abs=1e-4)


def test_one_value_has_no_interval_and_none_has_no_mean():
    assert interval([0.5]) == Interval(0.5, None, 1)
    assert interval([]) is None


@pytest.mark.parametrize(
    ("found", "above", "below"),
    [
        (Interval(0.1, 0.05, 3), True, False),
        (Interval(-0.1, 0.05, 3), False, True),
        (Interval(0.1, 0.1, 3), False, False),
        (Interval(0.1, 0.2, 3), False, False),
        (Interval(0.1, None, 1), False, False),
        (Interval(0.1, 0.0, 3), True, False),
    ],
)
def test_a_difference_is_sure_when_zero_lies_outside(found, above, below):
    assert (found.is_above_zero, found.is_below_zero) == (above, below)


def test_zero_lies_outside_when_the_paired_test_says_so():
    ours, theirs = DRAWN.normal(0.52, 0.02, (40, 4)), DRAWN.normal(0.5, 0.02, (40, 4))
    said = set()
    for a, b in zip(ours.tolist(), theirs.tolist(), strict=True):
        found = paired(dict(enumerate(a)), dict(enumerate(b)))
        is_sure = stats.ttest_rel(a, b).pvalue < 0.05
        assert (found.is_above_zero or found.is_below_zero) == is_sure
        said.add(is_sure)
    assert said == {True, False}


def test_a_pair_is_made_of_the_seeds_that_both_have():
    assert paired({0: 0.5, 1: 0.6, 3: 0.9}, {0: 0.4, 1: 0.4, 2: 0.1}) == interval(
        [0.5 - 0.4, 0.6 - 0.4]
    )
    assert paired({0: 0.5}, {1: 0.5}) is None
    assert paired({2: 0.5}, {2: 0.25, 0: 0.0}) == Interval(0.25, None, 1)


def test_a_line_is_that_of_scipy():
    x = DRAWN.uniform(0, 5, 12)
    y = 2 + 3 * x + DRAWN.normal(0, 1, 12)
    theirs, ours = stats.linregress(x, y), line(x.tolist(), y.tolist())
    assert ours is not None
    assert ours.slope.mean == pytest.approx(theirs.slope)
    assert ours.slope.half == pytest.approx(theirs.stderr * quantile(10))
    assert ours.intercept == pytest.approx(theirs.intercept)
    assert ours.r2 == pytest.approx(theirs.rvalue**2)
    assert ours.at(4.0) == pytest.approx(theirs.intercept + 4 * theirs.slope)


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1, 2], [1, 2]), ([2, 2, 2, 2], [1, 2, 3, 4])], ids=repr
)
def test_points_that_make_no_line_make_none(x, y):
    assert line(x, y) is None


def test_points_on_a_line_have_no_doubt_and_level_ones_no_slope():
    through = line([1, 2, 3], [3, 5, 7])
    assert through is not None
    assert (through.intercept, through.slope.mean) == pytest.approx((1.0, 2.0))
    assert through.slope.half == pytest.approx(0.0, abs=1e-9)
    assert through.r2 == pytest.approx(1.0)
    level = line([1, 2, 3, 4], [5, 5, 5, 5])
    assert level is not None and level.r2 == 1.0
    assert level.slope.mean == pytest.approx(0.0, abs=1e-12)


def test_a_plane_is_the_solution_of_the_normal_equations():
    x = DRAWN.normal(size=(20, 2))
    y = 1 + x @ [2.0, -3.0] + DRAWN.normal(0, 0.5, 20)
    found = plane(x.tolist(), y.tolist())
    columns = np.column_stack([np.ones(20), x])
    inverse = np.linalg.inv(columns.T @ columns)
    solution = inverse @ columns.T @ y
    residual = y - columns @ solution
    covariance = residual @ residual / 17 * inverse
    assert found is not None and found.n == 20
    assert [found.intercept, *(slope.mean for slope in found.slopes)] == pytest.approx(solution)
    assert [slope.half for slope in found.slopes] == pytest.approx(
        stats.t.ppf(0.975, 17) * np.sqrt(np.diag(covariance))[1:]
    )
    assert np.asarray(found.covariance) == pytest.approx(covariance[1:, 1:])
    assert found.r2 == pytest.approx(1 - residual.var() / y.var())


def test_the_difference_of_two_slopes_is_the_slope_of_their_difference():
    """With u = x1 - x2 in place of x1, y = b1 x1 + b2 x2 is b1 u + (b1 + b2) x2, and so on."""
    x = DRAWN.normal(size=(15, 2))
    y = x @ [1.0, 0.4] + DRAWN.normal(0, 0.3, 15)
    found = plane(x.tolist(), y.tolist())
    # half of the sum and half of the difference of the columns: the second slope is b1 - b2
    turned = plane(np.column_stack([x.sum(1) / 2, (x[:, 0] - x[:, 1]) / 2]).tolist(), y.tolist())
    assert found is not None and turned is not None
    assert found.difference(0, 1) == pytest.approx(turned.slopes[1])
    assert found.difference(1, 0).mean == pytest.approx(-turned.slopes[1].mean)
    assert found.difference(0, 0) == pytest.approx((0.0, 0.0, 15), abs=1e-9)


@pytest.mark.parametrize(
    "x",
    [
        [],
        [[1, 2], [2, 1], [0, 0]],
        [[1, 2], [2, 4], [3, 6], [4, 8], [5, 10]],
        [[1, 7], [2, 7], [3, 7], [4, 7], [5, 7]],
    ],
    ids=["none", "too few", "one direction", "a constant column"],
)
def test_points_that_do_not_determine_a_plane_make_none(x):
    assert plane(x, list(range(len(x)))) is None
