"""The figures of the papers: names that exist, values that can be, none twice."""

import csv
import subprocess
import sys
from collections import Counter
from importlib.resources import files

import pytest

from vertebra.models.published import IMAGENET, TABLE, published, published_of
from vertebra.models.shelf import SHELF


def test_every_model_exists_here_or_in_timm():
    timm = pytest.importorskip("timm")
    unknown = {
        each.model
        for each in published()
        if each.model not in SHELF and not timm.is_model(each.model.removeprefix("timm/"))
    }
    assert unknown == set()


def test_a_rival_is_named_so_only_where_the_shelf_has_no_such_model():
    rivals = {each.model.removeprefix("timm/") for each in published() if "/" in each.model}
    assert rivals and not rivals & set(SHELF)


def test_no_figure_stands_twice():
    keys = Counter((each.model, each.image_size, each.training_data) for each in published())
    assert [key for key, count in keys.items() if count > 1] == []


def test_accuracies_and_sizes_are_possible():
    for each in published():
        assert 0.6 < each.top1 < 0.9, each
        assert 128 <= each.image_size <= 800 and each.image_size % 4 == 0, each
        assert each.training_data.startswith(IMAGENET) or IMAGENET in each.training_data, each


def test_every_figure_says_how_and_where():
    text = files("vertebra.models").joinpath(TABLE).read_text("utf-8")
    assert all(all(row.values()) for row in csv.DictReader(text.splitlines()))
    assert all("(20" in each.source for each in published())


def test_the_size_on_the_shelf_is_one_that_is_published():
    for name in {each.model for each in on_imagenet_alone()} & set(SHELF):
        sizes = {each.image_size for each in published() if each.model == name}
        assert SHELF[name].image_size in sizes, name


def test_more_data_never_learns_less():
    best = {(each.model, each.image_size): each.top1 for each in on_imagenet_alone()}
    for each in published():
        if each.training_data != IMAGENET:
            plain = best.get((each.model, each.image_size))
            assert plain is None or plain < each.top1, each


def on_imagenet_alone():
    return [each for each in published() if each.training_data == IMAGENET]


def test_a_family_gains_with_its_size():
    for names in (
        [f"timm/tf_efficientnet_b{size}" for size in range(8)],
        [f"levit_{size}" for size in ("128s", "128", "192", "256", "384")],
        [f"convnext_{size}" for size in ("tiny", "small", "base", "large")],
        ["ghostnet_050", "ghostnet_100", "ghostnet_130"],
    ):
        top1 = [published_of(name)[0].top1 for name in names]
        assert top1 == sorted(top1)
    rows = [
        each
        for depth in (50, 101, 152, 200, 270, 350, 420)
        for each in published_of(f"resnetrs{depth}")
    ]
    assert [each.top1 for each in rows] == sorted(each.top1 for each in rows)
    assert len(rows) == 11


def test_a_model_of_no_paper_has_none():
    assert published_of("resnet18") == ()


def test_the_figures_are_read_without_torch():
    code = (
        "import sys; from vertebra.models.published import published; "
        "print(len(published()) > 0, 'torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.stdout == "True False\n", found.stderr
