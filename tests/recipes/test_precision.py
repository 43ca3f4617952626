"""A named recipe goes to bf16 where that is faster, says so, and never against a wish."""

from pathlib import Path

import pytest
import torch
from tests.recipes.drawn import in_memory, tiny
from torch import Tensor, nn

from vertebra.engine.execution import Execution
from vertebra.errors import RecipeError
from vertebra.recipes import precision
from vertebra.recipes.precision import fit_precision, gain
from vertebra.recipes.prepare import prepare
from vertebra.recipes.recipe import Recipe


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(precision, "WORTH_MEASURING", 0.0)


def faster(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    monkeypatch.setattr(precision, "gain", lambda recipe, device: times)


def recipe(**changes: object) -> Recipe:
    """Returns one whose smallest maps are more than a pixel."""
    return tiny(Path("drawn"), {"model.stem_pool": None, **changes})


def test_what_is_clearly_faster_is_taken_and_told(monkeypatch: pytest.MonkeyPatch):
    faster(monkeypatch, 1.84)
    found = fit_precision(recipe())
    assert found.recipe.execution.precision == "bf16"
    told = "execution.precision: fp32 -> bf16, a pass is 1.8 times as fast here"
    assert found.notes == (told,)


def test_what_is_hardly_faster_is_not(monkeypatch: pytest.MonkeyPatch):
    faster(monkeypatch, 1.15)
    assert fit_precision(recipe()) == (recipe(), ())


@pytest.mark.parametrize("path", ["execution.precision", "execution"])
def test_a_wish_stays(monkeypatch: pytest.MonkeyPatch, path: str):
    faster(monkeypatch, 9)
    assert fit_precision(recipe(), fixed={path}) == (recipe(), ())


def test_without_instructions_for_it_nothing_is_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    monkeypatch.delattr(precision, "gain")
    assert fit_precision(recipe()) == (recipe(), ())


def test_nor_for_a_small_network_nor_for_several_processes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(precision, "gain")
    assert fit_precision(recipe(), processes=2) == (recipe(), ())
    compiled = recipe(**{"execution.compile": True})
    assert fit_precision(compiled) == (compiled, ())
    monkeypatch.setattr(precision, "WORTH_MEASURING", 1e9)
    assert fit_precision(recipe()) == (recipe(), ())


def test_others_that_would_be_refused_keep_it_in_fp32(monkeypatch: pytest.MonkeyPatch):
    faster(monkeypatch, 9)
    assert fit_precision(recipe(), others=[recipe(dropout=0.1)]).notes
    assert fit_precision(recipe(), others=[recipe(), tiny(Path("drawn"))]) == (recipe(), ())


def test_measuring_leaves_no_trace_in_the_draws():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert gain(recipe(), torch.device("cpu")) > 0
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("saves", [False, True])
def test_a_pass_is_measured_in_as_little_memory_as_training(
    monkeypatch: pytest.MonkeyPatch, saves: bool
):
    seen: list[bool] = []

    def seconds(net: nn.Module, images: Tensor, execution: Execution) -> float:
        seen.append(any("forward" in vars(each) for each in net.modules()))
        return 1.0

    monkeypatch.setattr(precision, "_seconds", seconds)
    given = recipe(**{"execution.gradient_checkpointing": saves})
    assert gain(given, torch.device("cpu")) == 1.0
    assert {*seen} == {saves}


def test_maps_of_one_pixel_are_refused_in_bf16_on_a_cpu_and_never_fitted(
    monkeypatch: pytest.MonkeyPatch,
):
    half, small = {"execution.precision": "bf16"}, tiny(Path("drawn"))
    materials = (in_memory(train=4, val=2, test=2),)
    with pytest.raises(RecipeError, match="use fp32, or images of more than 16 px"):
        prepare(tiny(Path("drawn"), half), materials=materials)
    prepare(small, materials=materials)
    prepare(recipe(**half), materials=materials)
    faster(monkeypatch, 9)
    assert fit_precision(small) == (small, ())


def test_what_would_overwrite_memory_is_not_compiled_for_a_cpu():
    materials = (in_memory(train=4, val=2, test=2),)
    compiled = {"execution.compile": True}
    with pytest.raises(RecipeError, match="train without compile, or widen the network"):
        prepare(tiny(Path("drawn"), compiled), materials=materials)
    prepare(tiny(Path("drawn")), materials=materials)
    prepare(tiny(Path("drawn"), {**compiled, "model.width": 0.25}), materials=materials)


@pytest.mark.parametrize(
    ("macs", "wanted"),
    [(0.0, 16), (15.9, 16), (20.5, 20), (1e9, 64)],  # multiply-adds, of so many images
)
def test_small_networks_are_measured_on_more_images(
    macs: float, wanted: int, monkeypatch: pytest.MonkeyPatch
):
    counts: set[int] = set()

    def seconds(net: nn.Module, images: Tensor, execution: Execution) -> float:
        counts.add(len(images))
        return 1.0

    monkeypatch.setattr(precision, "_seconds", seconds)
    monkeypatch.setattr(precision, "_macs", lambda recipe: 1000)
    monkeypatch.setattr(precision, "MEASURED_MACS", 1000 * macs)
    assert gain(recipe(**{"data.batch_size": 64}), torch.device("cpu")) == 1.0
    assert counts == {wanted}
