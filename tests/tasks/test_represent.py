"""The metric of vectors against closed forms, however they are cut."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.contracts import Batch, Encoding
from vertebra.tasks.represent import RepresentationMetric

D = 8


def seen(vectors: Tensor, *sizes: int) -> RepresentationMetric:
    """Returns a metric that saw the vectors in batches of these sizes."""
    metric = RepresentationMetric(vectors.shape[1])
    for some in vectors.split(list(sizes) or [len(vectors)]):
        nothing = torch.zeros(len(some))
        metric.update(Encoding((), some), Batch(nothing, nothing, nothing))
    return metric


@pytest.fixture
def vectors() -> Tensor:
    return torch.randn(40, D, generator=torch.Generator().manual_seed(0)) + 0.5


@pytest.mark.parametrize("rank", range(1, D + 1))
def test_vectors_along_so_many_axes_have_that_rank_and_a_spread_of_one(rank):
    axes = torch.eye(D)[:rank]
    found = seen(torch.cat((axes, -2 * axes))).result()
    assert found == pytest.approx({"spread": 1, "rank": rank, "n": 2 * rank})


def test_vectors_that_are_the_same_have_no_spread_and_the_least_rank():
    found = seen(torch.full((20, D), 3.0)).result()
    assert found["spread"] == pytest.approx(0, abs=1e-6)
    assert found["rank"] >= 1


def test_unequal_strengths_have_the_exponential_of_their_entropy_as_rank():
    """Three pairs along one axis and one pair along another: shares of 3/4 and 1/4."""
    first, second = torch.eye(D)[:2]
    found = seen(torch.stack([first, -first] * 3 + [second, -second])).result()
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found["rank"] == pytest.approx(math.exp(entropy))
    assert found["spread"] == pytest.approx(1)


def test_spread_is_the_root_of_the_summed_variances_of_directions(vectors):
    variances = F.normalize(vectors.double()).var(0, correction=0)
    assert seen(vectors).result()["spread"] == pytest.approx(float(variances.sum().sqrt()))


def test_rank_is_that_of_the_singular_values_of_the_centred_directions(vectors):
    directions = F.normalize(vectors.double())
    strengths = torch.linalg.svdvals(directions - directions.mean(0)) ** 2
    shares = strengths / strengths.sum()
    expected = float((-(shares * shares.log()).sum()).exp())
    assert seen(vectors).result()["rank"] == pytest.approx(expected)


def test_neither_lengths_nor_a_turn_matter(vectors):
    turn, _ = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(1)))
    lengths = torch.arange(1, 41)[:, None]
    expected = seen(vectors).result()
    assert seen(vectors * lengths).result() == pytest.approx(expected, rel=1e-5)
    assert seen(vectors @ turn).result() == pytest.approx(expected, rel=1e-5)


def test_however_the_vectors_are_cut_and_shared_the_figures_are_the_same(vectors):
    whole = seen(vectors).result()
    assert seen(vectors, 7, 1, 32).result() == pytest.approx(whole)
    merged = seen(vectors[:13])
    merged.merge(seen(vectors[13:]))
    assert merged.result() == pytest.approx(whole)


def test_without_vectors_there_is_no_figure():
    found = RepresentationMetric(D).result()
    assert found["n"] == 0
    assert math.isnan(found["spread"]) and math.isnan(found["rank"])


def test_half_precision_is_summed_in_full(vectors):
    half = vectors.bfloat16()
    assert seen(half).result() == pytest.approx(seen(half.double()).result())
