"""Filter and balance: against counts by hand, over many draws, and at the edges."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from vertebra.methods.pseudo_labels import (
    as_targets,
    balanced,
    confident,
    most_confident,
    tally,
    thresholds,
)
from vertebra.seeding import generator

K = 10


def answers(confidences: Tensor, classes: Tensor, *, k: int = K) -> Tensor:
    """Returns probabilities [M, k] whose largest are these, the rest spread evenly."""
    found = ((1 - confidences) / (k - 1))[:, None].repeat(1, k)
    return found.scatter(1, classes[:, None], confidences[:, None])


def evenly(per_class: int, *, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Returns the answers on so many images of each class, sure of them between low and high."""
    confidences = torch.linspace(low, high, per_class).clamp(min=0.11).repeat(K)
    return answers(confidences, torch.arange(K).repeat_interleave(per_class))


def draw(probabilities: Tensor, seed: int, per_class: int, threshold: float = 0.3) -> Tensor:
    return balanced(
        probabilities, threshold=threshold, per_class=per_class, generator=generator(seed)
    )


def counts(probabilities: Tensor, rows: Tensor) -> Tensor:
    return torch.bincount(probabilities.argmax(1)[rows], minlength=probabilities.shape[1])


def test_of_a_class_with_plenty_the_surest_are_drawn_from_and_on_average_fill_the_quota():
    found = evenly(500)
    least = thresholds(found, threshold=0.3, per_class=93)
    assert_close(least * 100, (least * 100).round())
    confidence, classes = found.max(1)
    reaching = torch.bincount(classes[confidence.double() >= least[classes]], minlength=K)
    a_bin_higher = torch.bincount(classes[confidence.double() >= least[classes] + 0.01])
    assert (reaching >= 93).all()
    assert (a_bin_higher < 93).all()
    draws = [draw(found, seed, 93) for seed in range(40)]
    assert all((confidence[rows].double() >= least[classes[rows]]).all() for rows in draws)
    assert all(len(rows.unique()) == len(rows) for rows in draws)
    mean = torch.stack([counts(found, rows) for rows in draws]).double().mean(0)
    assert (mean - 93).abs().max() < 2  # the deviation of such a mean is below 0.4


def test_of_a_class_with_few_each_is_repeated_and_on_average_fills_the_quota():
    found = evenly(8, low=0.5)
    copies = torch.stack(
        [torch.bincount(draw(found, seed, 30), minlength=len(found)) for seed in range(200)]
    )
    assert set(copies.unique().tolist()) == {3, 4}  # 30 / 8
    assert_close(
        copies.double().mean(), torch.tensor(30 / 8, dtype=torch.float64), atol=0.02, rtol=0
    )


def test_a_quota_that_divides_leaves_nothing_to_chance():
    found = evenly(5, low=0.5)
    for seed in range(3):
        assert (torch.bincount(draw(found, seed, 20)) == 4).all()


@pytest.mark.parametrize("per_class", [1, 40, 4000])
def test_nothing_below_the_threshold_is_ever_kept(per_class):
    found = evenly(100)
    for rows in (
        draw(found, 0, per_class),
        confident(found, 0.3),
        most_confident(found, threshold=0.3, per_class=per_class),
    ):
        assert found.amax(1)[rows].min() >= 0.3
    assert (thresholds(found, threshold=0.335, per_class=4000) == 0.335).all()


def test_draws_are_those_of_the_seed():
    found = evenly(50, low=0.5)
    assert torch.equal(draw(found, 7, 120), draw(found, 7, 120))
    assert not torch.equal(draw(found, 7, 120), draw(found, 8, 120))


def test_classes_of_any_size_below_the_quota_come_out_level():
    sizes = torch.tensor([1, 2, 3, 5, 8, 13, 21, 34, 40, 50])
    classes = torch.arange(K).repeat_interleave(sizes)
    found = answers(torch.full((len(classes),), 0.8), classes)
    mean = (
        torch.stack([counts(found, draw(found, seed, 60)) for seed in range(60)]).double().mean(0)
    )
    assert (mean - 60).abs().max() < 2


def test_a_class_without_a_sure_image_gets_none_and_the_others_theirs():
    found = answers(torch.tensor([0.9, 0.9, 0.2]), torch.tensor([0, 1, 2]))
    assert draw(found, 0, 2).tolist() == [0, 0, 1, 1]
    assert draw(answers(torch.full((3,), 0.2), torch.arange(3)), 0, 2).tolist() == []
    assert draw(torch.zeros(0, K), 0, 2).tolist() == []


def test_a_probability_that_rounds_to_more_than_one_is_one():
    found = answers(torch.tensor([1.0000002, 0.5]), torch.tensor([0, 0]), k=2)
    assert most_confident(found, threshold=0.3, per_class=1).tolist() == [0]
    assert thresholds(found, threshold=0.3, per_class=1)[0] == 1
    assert 0 in draw(found, 0, 1)


def test_the_surest_of_each_class_are_exactly_so_many():
    found = evenly(40)
    rows = most_confident(found, threshold=0.3, per_class=3)
    assert rows.tolist() == [40 * k + place for k in range(K) for place in (37, 38, 39)]
    assert len(most_confident(found, threshold=0.99, per_class=3)) == K


def test_soft_targets_are_the_softened_logits():
    logits = torch.randn(6, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stored = logits.softmax(1)
    for temperature in (0.5, 1.0, 4.0):
        found = as_targets(stored, hard=False, temperature=temperature)
        assert_close(found, (logits / temperature).softmax(1))
    even = as_targets(torch.eye(K), hard=False, temperature=1e9)
    assert_close(even, torch.full((K, K), 1 / K))
    assert_close(as_targets(stored, hard=False, temperature=1e-3).argmax(1), stored.argmax(1))


def test_a_certain_answer_stays_certain():
    assert_close(as_targets(torch.eye(K), hard=False), torch.eye(K))


def test_hard_targets_are_classes():
    found = evenly(3, low=0.4)
    assert torch.equal(as_targets(found, hard=True), torch.arange(K).repeat_interleave(3))


def test_the_tally_counts_by_class():
    found = answers(torch.tensor([0.9, 0.5, 0.7, 0.4]), torch.tensor([0, 0, 2, 1]), k=4)
    count = tally(found, torch.tensor([0, 0, 0, 2]))
    assert count.found.tolist() == [2, 1, 1, 0]
    assert count.kept.tolist() == [1, 0, 1, 0]
    assert count.learnt.tolist() == [3, 0, 1, 0]
    assert_close(count.confidence, torch.tensor([0.9, 0, 0.7, 0], dtype=torch.float64))
