"""Figures by class and the interval, against scikit-learn and closed forms."""

import math

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from vertebra.report.classes import most_confused, per_class, wilson


def test_per_class_figures_agree_with_scikit_learn():
    generator = np.random.default_rng(0)
    confusion = generator.integers(0, 20, (7, 7))
    targets = np.repeat(np.arange(7), confusion.sum(1))
    predicted = np.concatenate([np.repeat(np.arange(7), row) for row in confusion])
    precision, recall, f1, support = precision_recall_fscore_support(targets, predicted)
    figures = per_class(confusion.tolist(), list("abcdefg"))
    assert [each.precision for each in figures] == pytest.approx(precision)
    assert [each.recall for each in figures] == pytest.approx(recall)
    assert [each.f1 for each in figures] == pytest.approx(f1)
    assert [each.images for each in figures] == support.tolist()


def test_a_class_that_is_absent_or_never_predicted_has_no_figure_rather_than_zero():
    absent, missed, found = per_class([[0, 0, 0], [0, 0, 4], [0, 0, 6]], ["a", "b", "c"])
    assert (absent.precision, absent.recall, absent.f1) == (None, None, None)
    assert (missed.precision, missed.recall, missed.f1) == (None, 0.0, 0.0)
    assert (found.precision, found.recall) == (0.6, 1.0)


def test_a_matrix_that_does_not_fit_the_classes_is_refused():
    with pytest.raises(ValueError, match="2 rows for 3 classes"):
        per_class([[1, 0], [0, 1]], ["a", "b", "c"])


def test_most_confused_pairs_come_in_order_and_leave_out_right_answers():
    pairs = most_confused([[9, 1, 0], [3, 5, 2], [0, 0, 7]], ["a", "b", "c"], keep=2)
    assert [(pair.target, pair.predicted, pair.images) for pair in pairs] == [
        ("b", "a", 3),
        ("b", "c", 2),
    ]
    assert pairs[0].share == 0.3


def test_wilson_ends_solve_the_score_equation():
    """The interval's ends are those p for which the observed share is z standard errors away."""
    for successes, n in ((1, 10), (37, 50), (985, 1000)):
        for end in wilson(successes, n):
            error = math.sqrt(end * (1 - end) / n)
            assert abs(successes / n - end) == pytest.approx(1.96 * error)


def test_wilson_at_no_and_all_successes_has_its_closed_form():
    z2 = 1.96**2
    assert wilson(0, 20) == pytest.approx((0.0, z2 / (20 + z2)))
    assert wilson(20, 20) == pytest.approx((20 / (20 + z2), 1.0))


def test_wilson_without_images_says_nothing_and_refuses_impossible_counts():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="successes=3 of n=2"):
        wilson(3, 2)
