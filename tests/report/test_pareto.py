"""The front against brute force, and its figure."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.report.measured import drawn

from vertebra.report.pareto import against_cost, front, time_against

# few values, so that ties are common
points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


def dominated(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether `other` is as accurate and as cheap as `one`, and not the same."""
    return other[0] >= one[0] and other[1] <= one[1] and other != one


@given(points)
def test_the_front_is_what_nobody_dominates(points):
    accuracies, costs = [each[0] for each in points], [each[1] for each in points]
    expected = {
        place
        for place, one in enumerate(points)
        if not any(dominated(one, other) for other in points)
    }
    found = front(accuracies, costs)
    assert set(found) == expected and len(found) == len(expected)


@given(points)
def test_along_the_front_accuracy_rises_with_cost(points):
    accuracies, costs = [each[0] for each in points], [each[1] for each in points]
    ends = [(costs[place], accuracies[place]) for place in front(accuracies, costs)]
    assert ends == sorted(ends)


def test_a_front_by_hand():
    assert front([0.7, 0.8, 0.75, 0.8], [1, 2, 3, 4]) == [0, 1]
    assert front([], []) == []


FAST, FAIR = drawn("fast", latency_ms=2, top1=0.75), drawn("fair", latency_ms=5, top1=0.74)
BEST = drawn("best", latency_ms=9, top1=0.80, family="BiT")


def test_the_figure_draws_the_front_and_every_family():
    figure = against_cost([FAST, FAIR, BEST, drawn("unknown")], "latency_ms")
    line, *families = figure["data"]
    assert (line["x"], line["y"]) == ([2, 9], [0.75, 0.80])
    assert [(each["name"], each["x"]) for each in families] == [("ResNet", [2, 5]), ("BiT", [9])]
    assert [each["text"] for each in figure["labels"]] == ["fast 224 px", "best 224 px"]
    assert "fair 224 px" in families[0]["text"][1] and "74.00%" in families[0]["text"][1]
    assert families[0]["marker"]["color"] != families[1]["marker"]["color"]


def test_a_size_that_the_name_tells_is_not_told_twice():
    told, other = "width x2, 224 px, 20 epochs", "at 1224 px"
    measured = [drawn(told, latency_ms=2, top1=0.7), drawn(other, latency_ms=3, top1=0.8)]
    labels = against_cost(measured, "latency_ms")["labels"]
    assert [each["text"] for each in labels] == [told, f"{other} 224 px"]


def test_costs_of_several_sizes_are_drawn_on_a_logarithmic_axis_with_round_ticks():
    wide = [FAST, drawn("slow", latency_ms=300, top1=0.84)]
    axis = against_cost(wide, "latency_ms")["layout"]["xaxis"]
    assert axis["type"] == "log"
    assert axis["ticktext"] == ["1", "2", "5", "10", "20", "50", "100", "200", "500"]
    assert against_cost([FAST, FAIR], "latency_ms")["layout"]["xaxis"]["rangemode"] == "tozero"


def test_the_time_of_an_image_is_that_of_the_best_batch():
    assert against_cost([FAST], "image_ms")["data"][0]["x"] == [1.0]  # 2000 / 2 images a second


def test_without_accuracies_time_is_drawn():
    figure = time_against([drawn("a"), drawn("b", latency_ms=None)], "macs")
    assert [trace["x"] for trace in figure["data"]] == [[4.0892]]
    assert figure["data"][0]["y"] == [10]


def test_a_name_is_no_markup():
    figure = against_cost([drawn("<b>x", top1=0.7, family="<i>")], "macs")
    assert "&lt;b&gt;x" in figure["labels"][0]["text"]
    assert figure["data"][1]["name"] == "&lt;i&gt;"
    assert "<b>&lt;b&gt;x" in figure["data"][1]["text"][0]


def test_more_families_than_looks_are_drawn():
    many = [drawn(f"m{i}", top1=0.7, family=f"f{i}") for i in range(40)]
    assert len(against_cost(many, "macs")["data"]) == 41


def test_counts_are_in_the_unit_that_suits_the_largest_of_those_drawn():
    tiny = replace(FAST, figures={**FAST.figures, "macs": 231_200.0})
    small = replace(FAIR, figures={**FAIR.figures, "macs": 6_310_000.0})
    figure = against_cost([tiny, small], "macs")
    assert figure["layout"]["xaxis"]["title"]["text"] == "MACs, M"
    assert figure["data"][1]["x"] == [0.2312, 6.31]
    assert "MACs 231.2 k" in figure["data"][1]["text"][0]
    assert against_cost([tiny, BEST], "macs")["layout"]["xaxis"]["title"]["text"] == "MACs, G"
