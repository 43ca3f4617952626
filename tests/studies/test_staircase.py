"""The figure of an additive table."""

import json

from vertebra.studies.staircase import Stair, staircase
from vertebra.studies.statistics import Interval

FIRST = Stair("plain", Interval(0.5, 0.01, 3), None)
UP = Stair("+ up", Interval(0.6, 0.02, 3), Interval(0.1, 0.05, 3))
DOWN = Stair("+ down", Interval(0.55, 0.02, 3), Interval(-0.05, 0.01, 3))
LEVEL = Stair("+ level", Interval(0.56, 0.02, 3), Interval(0.01, 0.02, 3))


def test_each_bar_reaches_from_the_mean_of_the_row_before_to_its_own():
    bars, dots = staircase([FIRST, UP, DOWN, LEVEL])["data"]
    assert bars["y"] == [1, 2, 3] and dots["y"] == [0, 1, 2, 3]
    assert bars["base"] == [0.5, 0.6, 0.55]
    ends = [base + length for base, length in zip(bars["base"], bars["x"], strict=True)]
    assert [round(end, 9) for end in ends] == dots["x"][1:] == [0.6, 0.55, 0.56]
    assert dots["error_x"]["array"] == [0.01, 0.02, 0.02, 0.02]


def test_colour_says_what_is_beyond_chance():
    (bars, _) = staircase([FIRST, UP, DOWN, LEVEL])["data"]
    assert bars["marker"]["color"] == ["var(--green)", "var(--orange)", "var(--faint)"]
    alone = [FIRST, Stair("+ one seed", Interval(0.9, None, 1), Interval(0.4, None, 1))]
    assert staircase(alone)["data"][0]["marker"]["color"] == ["var(--faint)"]


def test_a_row_without_a_mean_is_left_empty_and_so_is_the_bar_after_it():
    figure = staircase([FIRST, Stair("+ failed", None, None), UP, DOWN])
    bars, dots = figure["data"]
    assert dots["y"] == [0, 2, 3] and bars["y"] == [3]
    assert figure["layout"]["yaxis"]["tickvals"] == [0, 1, 2, 3]
    assert staircase([Stair("nothing yet", None, None)])["data"][0]["y"] == []


def test_names_are_text_and_broken_into_lines():
    name = "+ <b>bold</b> & a name that is much longer than a phone is wide"
    figure = staircase([FIRST, UP._replace(name=name)])
    label = figure["layout"]["yaxis"]["ticktext"][1]
    assert "<b>" not in label and "&lt;b&gt;" in label and "&amp;" in label
    assert label.count("<br>") == 2
    assert figure["height"] > staircase([FIRST, UP])["height"]
    assert figure["data"][1]["text"][1].startswith("<b>+ &lt;b&gt;bold")


def test_what_hovers_has_mean_interval_seeds_and_gain():
    _, dots = staircase([FIRST, UP])["data"]
    assert (
        dots["text"][1]
        == "<b>+ up</b><br>60.00% ± 2.00, 3 seeds<br>+10.00 ± 5.00 over the row before"
    )
    _, dots = staircase([Stair("alone", Interval(0.5, None, 1), None)])["data"]
    assert dots["text"] == ["<b>alone</b><br>50.00%, 1 seed"]


def test_the_figure_is_json():
    json.dumps(staircase([FIRST, UP, Stair("+", None, None)]), allow_nan=False)
