from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from vertebra.bench.account import account
from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.layers.linear_head import LinearHead
from vertebra.models.resnet import ResNetSpec
from vertebra.models.resnet_rs import NAMED, ROWS, resnet_rs
from vertebra.models.shelf import SHELF

RS50 = resnet_rs(50)


@cache
def on_paper(spec: ResNetSpec, *, classes: int = 1000) -> Classifier:
    """Returns the network without storage."""
    with torch.device("meta"):
        backbone = spec.build()
        return Classifier(backbone, LinearHead(backbone.width, classes))


def parameters(spec: ResNetSpec, *, classes: int = 1000) -> int:
    return sum(p.numel() for p in on_paper(spec, classes=classes).parameters())


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        pytest.param(*pair, marks=pytest.mark.slow if 200 < pair[0] < 420 else ())
        for pair in sorted({(row.depth, row.parameters) for row in ROWS})
    ],
)
def test_each_depth_has_the_published_parameters(depth, expected):
    assert parameters(resnet_rs(depth)) == expected


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.slow if row.gmacs > 5 else ()) for row in ROWS]
)
def test_each_row_has_the_published_macs(row):
    model = on_paper(resnet_rs(row.depth))
    macs = account(model, image_size=row.image_size).macs
    assert macs / 1e9 == pytest.approx(row.gmacs, rel=0.001)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (replace(RS50, stem_pool="max"), 35_654_920),
        (replace(RS50, squeeze=None), 25_613_256),
        (replace(RS50, width=0.25), 2_629_392),
        (replace(RS50, width=0.5), 9_454_008),
        (replace(RS50, width=1.5), 78_714_712),
        (replace(RS50, width=2.0), 138_522_408),
        (replace(resnet_rs(200), width=0.25), 6_256_912),
        (resnet_rs(26), 21_631_560),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in (
                (replace(resnet_rs(200), width=0.5), 23_877_048),
                (replace(resnet_rs(200), width=1.5), 207_999_832),
                (replace(resnet_rs(200), width=2.0), 368_246_568),
                (resnet_rs(300), 134_386_632),
                (resnet_rs(400), 182_229_064),
            )
        ),
    ],
)
def test_ablated_and_scaled_networks_have_the_counted_parameters(spec, expected):
    assert parameters(spec) == expected


def test_classes_cost_a_row_of_the_head_each():
    assert parameters(RS50, classes=10) == 33_663_402
    assert parameters(RS50, classes=1001) - parameters(RS50) == 2049


@pytest.mark.parametrize(
    ("depth", "layers", "channels"),
    [(50, 56, 26_688), (101, 107, 52_800), (200, 206, 88_128), (420, 425, 185_280)],
)
def test_batch_norms_are_as_many_and_as_wide_as_counted(depth, layers, channels):
    norms = [m for m in on_paper(resnet_rs(depth)).modules() if isinstance(m, nn.BatchNorm2d)]
    assert (len(norms), sum(norm.num_features for norm in norms)) == (layers, channels)


def test_named_networks_have_the_rate_and_size_of_a_published_row():
    rows = {(row.depth, row.image_size): row for row in ROWS}
    published = {name: spec for name, spec in NAMED.items() if spec.norm is None}
    for name, spec in published.items():
        depth = int(name.removeprefix("resnetrs"))
        if depth == 26:  # of the scaling experiments: no row, no rate
            assert spec == resnet_rs(26)
            continue
        row = rows[depth, SHELF[name].image_size]
        assert spec == resnet_rs(depth, stochastic_depth=row.stochastic_depth)


def test_a_depth_without_a_layout_is_refused():
    with pytest.raises(RecipeError, match=r"depth=51 has no stage layout; choose one of 26, 50"):
        resnet_rs(51)
