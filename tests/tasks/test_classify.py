"""The metric against scikit-learn, and its sums against every way of cutting the data."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor
from torch.testing import assert_close

from vertebra.contracts import Batch
from vertebra.errors import NameLookupError
from vertebra.tasks.classify import ClassificationMetric, Mistake, create_model

N, K = 100, 7


@pytest.fixture(scope="module")
def answers() -> tuple[Tensor, Batch]:
    """Logits that are right about half the time, and the batch they belong to."""
    draw = torch.Generator().manual_seed(0)
    targets = torch.randint(K, (N,), generator=draw)
    logits = torch.randn(N, K, generator=draw)
    logits[range(N), targets] += 1.2
    return logits, Batch(torch.zeros(N, 1), targets, torch.arange(N) + 1000)


def counted(logits: Tensor, batch: Batch, sizes: list[int], *, keep: int = 0):
    """Returns a metric that saw the answers in batches of these sizes."""
    metric = ClassificationMetric(K, keep=keep)
    parts = zip(
        *(each.split(sizes) for each in (logits, batch.images, batch.targets, batch.index)),
        strict=True,
    )
    for some, *rest in parts:
        metric.update(some, Batch(*rest))
    return metric


def test_figures_agree_with_scikit_learn(answers):
    logits, batch = answers
    found = counted(*answers, [N]).result()
    targets, labels = batch.targets.numpy(), np.arange(K)
    scores = logits.double().softmax(1).numpy()
    assert found["top1"] == metrics.accuracy_score(targets, scores.argmax(1))
    assert found["top5"] == metrics.top_k_accuracy_score(targets, scores, k=5, labels=labels)
    assert math.isclose(found["loss"], metrics.log_loss(targets, scores, labels=labels))
    assert found["n"] == N


def test_confusion_has_true_classes_in_rows(answers):
    logits, batch = answers
    found = counted(*answers, [N]).sums["confusion"]
    expected = metrics.confusion_matrix(batch.targets, logits.argmax(1), labels=range(K))
    assert np.array_equal(found.numpy(), expected)
    assert not np.array_equal(expected, expected.T)


@pytest.mark.parametrize("sizes", [[1] * N, [64, 36], [99, 1], [0, 7, 93]])
def test_ragged_batches_count_exactly_as_one(answers, sizes):
    found, whole = counted(*answers, sizes), counted(*answers, [N])
    for name in ("confusion", "top5"):
        assert torch.equal(found.sums[name], whole.sums[name])
    assert_close(found.sums["nll"], whole.sums["nll"], atol=1e-12, rtol=1e-12)


def test_two_merged_halves_are_the_whole(answers):
    logits, batch = answers
    merged = ClassificationMetric(K, keep=10)
    for part in (slice(0, 41), slice(41, N)):
        half = Batch(batch.images[part], batch.targets[part], batch.index[part])
        merged.merge(counted(logits[part], half, [len(half.images)], keep=10))
    whole = counted(*answers, [N], keep=10)
    assert merged.mistakes == whole.mistakes
    assert torch.equal(merged.sums["confusion"], whole.sums["confusion"])
    assert merged.result() == pytest.approx(whole.result(), abs=1e-12)


def test_mistakes_are_the_most_confident_ones_and_name_their_images(answers):
    logits, batch = answers
    confidence, predicted = logits.softmax(1).max(1)
    wrong = [n for n in range(N) if predicted[n] != batch.targets[n]]
    wrong.sort(key=lambda n: -confidence[n])
    expected = [
        Mistake(1000 + n, int(batch.targets[n]), int(predicted[n]), float(confidence[n]))
        for n in wrong[:4]
    ]
    assert counted(*answers, [30, 70], keep=4).mistakes == expected
    assert counted(*answers, [30, 70]).mistakes == []


def test_few_classes_have_a_top5_of_one():
    metric = ClassificationMetric(2)
    metric.update(torch.tensor([[1.0, 0.0]]), Batch(torch.zeros(1), torch.ones(1).long(), None))
    assert (metric.result()["top1"], metric.result()["top5"]) == (0.0, 1.0)


def test_a_metric_that_saw_nothing_says_so():
    found = ClassificationMetric(3).result()
    assert found["n"] == 0
    assert all(math.isnan(found[name]) for name in ("top1", "top5", "loss"))


def test_a_sure_wrong_answer_costs_its_logit():
    metric = ClassificationMetric(2)
    metric.update(torch.tensor([[500.0, 0.0]]), Batch(torch.zeros(1), torch.ones(1).long(), None))
    assert metric.result()["loss"] == 500.0


def test_half_precision_logits_are_summed_in_full(answers):
    logits, batch = answers
    with torch.autocast("cpu", torch.bfloat16):
        inside = counted(logits.bfloat16(), batch, [N])
    outside = counted(logits.bfloat16().float(), batch, [N])
    assert inside.result() == outside.result()


def test_a_model_by_name_is_drawn_from_its_seed_alone():
    one, other, same = (
        create_model("resnet18", num_classes=3, seed=seed).state_dict() for seed in (0, 1, 0)
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["head.fc.weight"], other["head.fc.weight"])
    assert one["head.fc.weight"].shape[0] == 3


def test_a_misspelt_model_gets_the_nearest_name():
    with pytest.raises(NameLookupError, match="did you mean 'resnet18'"):
        create_model("resnet-18", num_classes=3)
