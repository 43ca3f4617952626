"""Weighted neighbours against a plain loop, and what must not change them."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.errors import RecipeError
from vertebra.tasks import neighbours
from vertebra.tasks.features import Features, share_right
from vertebra.tasks.neighbours import Neighbours

N, D, K = 40, 6, 5


@pytest.fixture
def known() -> Features:
    draws = torch.Generator().manual_seed(0)
    return Features(torch.randn(N, D, generator=draws), torch.arange(N) % 3)


@pytest.fixture
def asked() -> torch.Tensor:
    return torch.randn(9, D, generator=torch.Generator().manual_seed(1))


def plainly(asked, known, *, count, temperature):
    """Returns the share of the votes of each class, one image and one neighbour at a time."""
    votes = torch.zeros(len(asked), K)
    for row, vector in enumerate(asked):
        cosines = [float(F.cosine_similarity(vector, each, dim=0)) for each in known.vectors]
        for place in sorted(range(N), key=lambda place: -cosines[place])[:count]:
            votes[row, known.targets[place]] += math.exp(cosines[place] / temperature)
    return votes / votes.sum(1, keepdim=True)


@pytest.mark.parametrize(("count", "temperature"), [(1, 0.07), (7, 0.07), (20, 0.5), (99, 1.0)])
def test_votes_are_those_of_a_plain_loop(asked, known, count, temperature):
    found = Neighbours(count=count, temperature=temperature).votes(asked, known, classes=K)
    assert_close(found, plainly(asked, known, count=count, temperature=temperature))


def test_every_class_has_a_column_also_those_that_nobody_has(asked, known):
    found = Neighbours().votes(asked, known, classes=K)
    assert found.shape == (9, K)
    assert (found[:, 3:] == 0).all()
    assert_close(found.sum(1), torch.ones(9))


def test_the_nearest_of_known_images_is_itself(known):
    votes = Neighbours(count=1).votes(known.vectors, known, classes=3)
    assert share_right(votes, known.targets) == 1.0


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_scale_of_features_counts_for_nothing(asked, known, scale):
    scaled = known._replace(vectors=known.vectors * scale)
    plain = Neighbours().votes(asked, known, classes=K)
    assert_close(Neighbours().votes(asked * scale, scaled, classes=K), plain)


def test_taken_in_parts_they_are_the_same(asked, known, monkeypatch):
    whole = Neighbours().votes(asked, known, classes=K)
    monkeypatch.setattr(neighbours, "AT_ONCE", 2)
    assert_close(Neighbours().votes(asked, known, classes=K), whole)


def test_what_cannot_be_is_refused():
    with pytest.raises(RecipeError, match="neighbours=0; give at least 1"):
        Neighbours(count=0)
    with pytest.raises(RecipeError, match=r"temperature=0\.0; give a number above 0"):
        Neighbours(temperature=0.0)
