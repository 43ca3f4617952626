"""A linear probe: it learns what is linear, and the scale of features does not matter to it."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.testing import assert_close

from vertebra.errors import RecipeError
from vertebra.tasks.features import Features, share_right
from vertebra.tasks.linear_probe import LinearProbe

K = 3


def drawn(count: int, *, seed: int, noise: float = 1.0) -> Features:
    """Returns vectors of three classes whose means stand apart, of which one dimension is still."""
    draws = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % K
    means = 2 * torch.eye(K, 8)
    vectors = means[targets] + noise * torch.randn(count, 8, generator=draws)
    vectors[:, 7] = 5.0
    return Features(vectors, targets)


def quick(*rates: float) -> LinearProbe:
    return LinearProbe(rates=rates, epochs=1, updates=50, batch_size=32)


@pytest.fixture(scope="module")
def data() -> tuple[Features, Features, Features]:
    return drawn(150, seed=0), drawn(60, seed=1), drawn(300, seed=2)


def test_it_does_as_well_as_a_solver_of_the_same_problem(data):
    train, held_out, test = data
    probe = LinearProbe(rates=(1.0,), updates=300).fit(train, held_out, classes=K, seed=0)
    solver = LogisticRegression(C=100.0, max_iter=1000).fit(train.vectors, train.targets)
    assert share_right(probe.logits(test.vectors), test.targets) == pytest.approx(
        solver.score(test.vectors, test.targets), abs=0.02
    )


def test_what_is_linearly_separate_is_told_apart_without_a_mistake():
    train = drawn(60, seed=0, noise=0.1)
    probe = LinearProbe(rates=(3.0,), updates=50).fit(train, train, classes=K, seed=0)
    assert probe.held_out == 1.0


def test_the_rate_is_the_best_of_the_held_out_images_and_the_lowest_of_equals(data):
    train, held_out, _ = data
    rates = (1e-7, 1.0, 1e5)
    shares = {rate: quick(rate).fit(train, held_out, classes=K, seed=0).held_out for rate in rates}
    found = quick(*rates).fit(train, held_out, classes=K, seed=0)
    assert found.held_out == max(shares.values()) == shares[found.rate]
    easy = drawn(30, seed=0, noise=0.01)
    assert quick(3.0, 1.0).fit(easy, easy, classes=K, seed=0).rate == 1.0


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_features_does_not_matter(data, scale):
    train, held_out, test = data
    probe, other = (
        quick(1.0).fit(
            train._replace(vectors=train.vectors * each),
            held_out._replace(vectors=held_out.vectors * each),
            classes=K,
            seed=0,
        )
        for each in (1.0, scale)
    )
    logits = probe.logits(test.vectors)
    assert_close(other.logits(test.vectors * scale), logits, atol=1e-2, rtol=1e-2)


def test_it_is_the_same_for_the_same_seed_and_leaves_the_features_alone(data):
    train, held_out, _ = data
    before = train.vectors.clone()
    one, same, other = (quick(1.0).fit(train, held_out, classes=K, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.weight, same.weight) and not torch.equal(one.weight, other.weight)
    assert torch.equal(train.vectors, before)


def test_few_images_of_many_classes_are_enough():
    train = drawn(2, seed=0)
    probe = quick(1.0).fit(train, train, classes=10, seed=0)
    assert probe.weight.shape == (10, 8)
    assert probe.held_out == 1.0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rates": ()}, r"rates=\(\); give one or more"),
        ({"rates": (0.0,)}, "all above 0"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_what_cannot_be_is_refused(changes, told):
    with pytest.raises(RecipeError, match=told):
        LinearProbe(**changes)
