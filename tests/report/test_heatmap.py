"""The confusion matrix as a figure."""

import pytest
from tests.report.drawn import drawn_confusion

from vertebra.report.evaluation import Evaluation
from vertebra.report.heatmap import MOST_CLASSES, heatmap


def evaluation_of(confusion: list[list[int]], classes: list[str]) -> Evaluation:
    n = sum(map(sum, confusion))
    return Evaluation(split="test", n=n, figures={}, classes=classes, confusion=confusion)


def test_every_count_stands_in_one_of_the_two_colours_and_shares_are_of_rows():
    confusion = drawn_confusion(6).tolist()
    right, wrong = heatmap(evaluation_of(confusion, list("abcdef")))["data"]
    for row in range(6):
        for column in range(6):
            shares = right["z"][row][column], wrong["z"][row][column]
            share = confusion[row][column] / sum(confusion[row])
            if row == column:
                assert shares == (pytest.approx(share, abs=1e-4), None)
            elif share:
                assert shares == (None, pytest.approx(share, abs=1e-4))
                assert wrong["text"][row][column] == confusion[row][column]
            else:
                assert shares == (None, None)


def test_a_class_without_images_has_an_empty_row():
    right, wrong = heatmap(evaluation_of([[0, 0], [1, 3]], ["a", "b"]))["data"]
    assert right["z"] == [[None, None], [None, 0.75]]
    assert wrong["z"] == [[None, None], [0.25, None]]


def test_too_many_classes_are_cut_to_those_with_most_mistakes():
    size = MOST_CLASSES + 50
    confusion = [[0] * size for _ in range(size)]
    for place in range(size):
        confusion[place][place] = 5
    confusion[size - 1][0] = 3
    figure = heatmap(evaluation_of(confusion, [f"c{place}" for place in range(size)]))
    assert len(figure["data"][0]["x"]) == MOST_CLASSES
    assert figure["data"][0]["x"][-1] == f"c{size - 1}"


def test_names_are_escaped_and_long_ones_lose_their_middle():
    figure = heatmap(evaluation_of([[1, 0], [0, 1]], ["<b>", "a dark-eyed junco, female"]))
    assert figure["data"][0]["x"][0] == "&lt;b&gt;"
    assert figure["layout"]["xaxis"]["ticktext"] == ["&lt;b&gt;", "a dark-e… female"]
