"""Curves of a run's log."""

import math

import numpy as np
import pytest
from tests.report.drawn import BEST, STEPS, DrawRun

from vertebra.records import EventLog
from vertebra.report.curves import MOST_POINTS, curves, smooth, thin
from vertebra.report.findings import read_findings


def test_smoothing_equals_the_weighted_mean_of_all_values_so_far():
    values = np.random.default_rng(0).random(30).tolist()
    keep = 1 - 1 / 8
    for end in range(1, 31):
        weights = [keep ** (end - 1 - place) for place in range(end)]
        mean = np.average(values[:end], weights=weights)
        assert smooth(values, window=8)[end - 1] == pytest.approx(mean)


def test_smoothing_leaves_a_constant_and_a_window_of_one_as_they_are():
    assert smooth([3.0] * 50, window=20) == pytest.approx([3.0] * 50)
    assert smooth([1.0, 5.0, 2.0], window=0.1) == [1.0, 5.0, 2.0]


@pytest.mark.parametrize("length", [0, 1, 1999, 2000, 2001, 123_456])
def test_thinned_places_are_few_rise_and_keep_both_ends(length: int):
    places = thin(length)
    assert len(places) == min(length, MOST_POINTS)
    assert places == sorted(set(places))
    assert not places or (places[0], places[-1]) == (0, length - 1)


def test_a_long_run_is_drawn_with_few_points(draw_run: DrawRun):
    directory = draw_run(finished=False)
    with directory.metrics.open("a") as log:
        for step in range(STEPS + 1, 5000):
            log.write(f'{{"event": "step", "step": {step}, "epoch": {step / 30}, "loss": 1.0}}\n')
    loss = curves(read_findings(directory))["loss"].figure["data"]
    assert [len(trace["x"]) for trace in loss] == [MOST_POINTS, MOST_POINTS, STEPS // 30]


def test_the_chosen_checkpoint_is_marked_where_the_log_saved_the_best(draw_run: DrawRun):
    panels = curves(read_findings(draw_run(finished=False)))
    line, mark = panels["accuracy"].figure["data"]
    assert mark["customdata"] == [BEST]
    assert mark["y"] == [line["y"][line["customdata"].index(BEST)]]


def test_values_that_are_not_finite_leave_a_gap_and_break_nothing(draw_run: DrawRun):
    directory = draw_run(finished=False)
    EventLog(directory.metrics).append(
        "step", step=STEPS + 1, epoch=21, values={"loss": math.nan, "lr": 0.1}
    )
    panels = curves(read_findings(directory))
    assert panels["loss"].figure["data"][0]["customdata"][-1] == STEPS
    assert panels["lr"].figure["data"][0]["customdata"][-1] == STEPS + 1


def test_without_events_there_are_no_curves(draw_run: DrawRun):
    directory = draw_run(finished=False)
    directory.metrics.write_text("")
    assert curves(read_findings(directory)) == {}


def test_several_parts_of_the_loss_are_drawn_and_one_alone_is_not(draw_run: DrawRun):
    directory = draw_run(finished=False)
    log = EventLog(directory.metrics)
    log.append("step", step=STEPS + 1, epoch=21, values={"parts": {"probe": 2.0}})
    assert "parts" not in curves(read_findings(directory))
    told = {"byol": 1.5, "probe": math.nan}
    log.append("step", step=STEPS + 2, epoch=22, values={"parts": told})
    traces = curves(read_findings(directory))["parts"].figure["data"]
    assert [(trace["name"], trace["customdata"], trace["y"]) for trace in traces] == [
        ("probe", [STEPS + 1], [2.0]),
        ("byol", [STEPS + 2], [1.5]),
    ]


def test_where_no_classes_are_known_the_spread_is_drawn(draw_run: DrawRun):
    directory = draw_run(finished=False)
    assert "spread" not in curves(read_findings(directory))
    values = {"split": "minival", "figures": {"spread": 0.7, "rank": 20.0}}
    EventLog(directory.metrics).append("evaluate", step=STEPS, epoch=20, values=values)
    spread = curves(read_findings(directory))["spread"].figure["data"][-1:]
    assert [(trace["name"], trace["y"]) for trace in spread] == [("minival spread", [0.7])]


def test_a_single_accuracy_is_drawn_between_nothing_and_all(draw_run: DrawRun):
    directory = draw_run(finished=False)
    log = EventLog(directory.metrics)
    directory.metrics.unlink()
    values = {"split": "minival", "figures": {"top1": 0.5, "loss": 1.0}}
    log.append("evaluate", step=30, epoch=1, values=values)
    axis = curves(read_findings(directory))["accuracy"].figure["layout"]["yaxis"]
    assert axis["range"] == [0, 1]
    log.append("evaluate", step=60, epoch=2, values={"split": "minival", "figures": {"top1": 0.6}})
    axis = curves(read_findings(directory))["accuracy"].figure["layout"]["yaxis"]
    assert "range" not in axis
