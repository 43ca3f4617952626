"""Costs against the run's own count, and what is timed."""

import pytest
import torch
from tests.studies.made import RECIPE

from vertebra.bench.account import account
from vertebra.errors import RecipeError
from vertebra.recipes.materials import build_model
from vertebra.recipes.vary import vary
from vertebra.studies import costs
from vertebra.studies.axes import with_size

LARGER = with_size(RECIPE, width=0.25)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """No long warm-up."""
    monkeypatch.setattr("vertebra.bench.latency._WARM_UP_S", 0.0)


def test_counts_are_those_of_a_record():
    found = costs.cost_of(RECIPE, classes=7, measure=False)
    with torch.device("meta"):
        expected = account(build_model(RECIPE, 7), image_size=224)
    assert (found.parameters, found.macs) == (expected.parameters, expected.macs)
    assert found.latency_ms is None


def test_equal_networks_are_timed_once_and_in_order(monkeypatch):
    timed = []

    def interleaved(works, **others):
        timed.extend(each.model.width for each in works)
        return {each: [[0.001, 0.003], [0.002]] for each in works}

    monkeypatch.setattr(costs, "interleaved", interleaved)
    longer = vary(RECIPE, {"length": "20 epochs"})
    found = costs.costs_of([RECIPE, LARGER, longer], classes=10)
    assert timed == [0.125, 0.25]
    assert found[0] == found[2] and found[0].latency_ms == 2.0
    assert found[1].macs > found[0].macs


def test_each_recipe_may_have_a_head_of_its_own():
    few, many = costs.costs_of([RECIPE, RECIPE], classes=[2, 12], measure=False)
    assert many.parameters - few.parameters == 10 * (64 + 1)  # 512 channels / 8, and a bias


def test_the_latency_is_measured_here_and_says_how():
    small = vary(RECIPE, {"data.preprocess.image_size": 32, "execution.device": "cpu"})
    heard = []
    (found,) = costs.costs_of(
        [small], classes=2, budget_s=0.01, on_progress=lambda *each: heard.append(each)
    )
    assert found.latency_ms is not None and found.latency_ms > 0
    assert heard == [(1, 2), (2, 2)]
    said = costs.conditions(small)
    assert said["device"].startswith("cpu") and said["precision"] == "fp32" and said["threads"] >= 1


def test_a_network_that_fails_while_it_is_timed_has_no_latency(monkeypatch):
    def call(asked, recipe, settings):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(costs, "_call", call)
    found = costs.cost_of(RECIPE, classes=2)
    assert found.macs > 0 and found.latency_ms is None


def test_a_size_that_a_network_does_not_take_is_refused(monkeypatch):
    def account(model, **size):
        raise RuntimeError("Kernel size can't be greater than actual input size")

    monkeypatch.setattr(costs, "account", account)
    with pytest.raises(RecipeError, match=r"takes no images of 224 px \(.*Kernel size"):
        costs.cost_of(RECIPE, classes=2, measure=False)
