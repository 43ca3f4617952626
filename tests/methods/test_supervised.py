"""The losses against closed forms, naive loops and finite differences."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch, Progress
from vertebra.errors import RecipeError
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy, SupervisedSpec

N, K = 6, 4
LOSSES = [
    CrossEntropy(),
    CrossEntropy(smoothing=0.2),
    CrossEntropy(smoothing=0.1, tampering=0.3),
    BinaryCrossEntropy(smoothing=0.1),
    BinaryCrossEntropy(threshold=0.2, sum_classes=False),
]


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(N, K, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture
def targets() -> Tensor:
    return torch.tensor([0, 1, 2, 3, 1, 0])


def mixed(targets: Tensor, share: float) -> Tensor:
    """Returns each target mixed with its neighbour's."""
    onehot = F.one_hot(targets, K).float()
    return share * onehot + (1 - share) * onehot.roll(1, 0)


def plain_binary(logits: Tensor, soft: Tensor) -> Tensor:
    """Returns the losses [N, K] of one sigmoid a class, one at a time."""
    found = torch.empty(N, K)
    for n in range(N):
        for k in range(K):
            p, t = 1 / (1 + math.exp(-logits[n, k])), float(soft[n, k])
            found[n, k] = -t * math.log(p) - (1 - t) * math.log(1 - p)
    return found


def test_smoothing_is_cross_entropy_with_the_smoothed_target(logits, targets):
    soft = F.one_hot(targets, K) * 0.9 + 0.1 / K
    by_hand = -(soft * logits.log_softmax(1)).sum(1).mean()
    assert_close(CrossEntropy(smoothing=0.1).loss(logits, targets), by_hand)
    assert_close(CrossEntropy().loss(logits, soft), by_hand)


def test_smoothing_adds_the_mean_surprise_of_all_classes(logits, targets):
    log_p = logits.log_softmax(1)
    hard, even = -log_p[range(N), targets].mean(), -log_p.mean()
    assert_close(CrossEntropy(smoothing=0.3).loss(logits, targets), 0.7 * hard + 0.3 * even)


def test_smoothing_of_the_wrong_classes_only_is_ours_with_a_smaller_share(logits, targets):
    epsilon = 0.1  # epsilon / (K - 1) on each wrong class, 1 - epsilon on the right one
    onehot = F.one_hot(targets, K).float()
    theirs = onehot * (1 - epsilon) + (1 - onehot) * epsilon / (K - 1)
    ours = CrossEntropy(smoothing=epsilon * K / (K - 1))
    assert_close(ours.loss(logits, targets), CrossEntropy().loss(logits, theirs))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_even_logits_cost_the_logarithm_of_k_whatever_the_target(targets, smoothing, share):
    loss = CrossEntropy(smoothing=smoothing).loss(torch.full((N, K), 2.5), mixed(targets, share))
    assert_close(loss, torch.tensor(math.log(K)))


@pytest.mark.parametrize("loss", [each for each in LOSSES if each != LOSSES[-1]])
def test_the_loss_of_mixed_targets_is_the_mix_of_the_losses(logits, targets, loss):
    share = 0.3
    hard = loss.loss(logits, targets), loss.loss(logits, targets.roll(1))
    mix = share * hard[0] + (1 - share) * hard[1]
    assert_close(loss.loss(logits, mixed(targets, share)), mix, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_class_numbers_and_their_one_hot_form_cost_the_same(logits, targets, loss):
    onehot = F.one_hot(targets, K).float()
    assert_close(loss.loss(logits, targets), loss.loss(logits, onehot))


def test_binary_loss_is_summed_over_classes_and_averaged_over_images(logits, targets):
    soft = mixed(targets, 0.3)
    expected = plain_binary(logits, soft)
    assert_close(BinaryCrossEntropy().loss(logits, soft), expected.sum(1).mean())
    assert_close(BinaryCrossEntropy(sum_classes=False).loss(logits, soft), expected.mean())


def test_threshold_counts_both_classes_of_a_mixed_image_fully(logits, targets):
    both = ((F.one_hot(targets, K) + F.one_hot(targets.roll(1), K)) > 0).float()
    loss = BinaryCrossEntropy(threshold=0.0)
    assert_close(loss.loss(logits, mixed(targets, 0.3)), plain_binary(logits, both).sum(1).mean())


def test_threshold_drops_a_class_with_a_small_share(logits, targets):
    loss = BinaryCrossEntropy(threshold=0.4)
    assert_close(loss.loss(logits, mixed(targets, 0.7)), loss.loss(logits, targets))


def test_binary_smoothing_leaves_the_even_share_to_every_class(logits, targets):
    soft = F.one_hot(targets, K) * 0.8 + 0.2 / K
    loss = BinaryCrossEntropy(smoothing=0.2)
    assert_close(loss.loss(logits, targets), plain_binary(logits, soft).sum(1).mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_against_the_gradient_lowers_the_loss(logits, targets, loss):
    logits.requires_grad_()
    before = loss.loss(logits, targets)
    (gradient,) = torch.autograd.grad(before, logits)
    assert loss.loss(logits - 0.01 * gradient, targets) < before


@pytest.mark.parametrize("loss", [each for each in LOSSES if getattr(each, "tampering", 1) == 1])
def test_gradients_agree_with_finite_differences(logits, targets, loss):
    logits = logits.double().requires_grad_()
    found = torch.autograd.grad(loss.loss(logits.float(), targets), logits)[0]
    for n, k in ((0, 0), (3, 2)):
        moved = torch.zeros(N, K, dtype=torch.float64)
        moved[n, k] = 1e-2
        with torch.no_grad():
            ends = [loss.loss((logits + sign * moved).float(), targets) for sign in (1, -1)]
        assert_close(found[n, k].float(), (ends[0] - ends[1]) / 2e-2, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("share", [None, 0.3])
def test_logits_in_half_precision_give_a_full_precision_loss(logits, targets, loss, share):
    half, goal = logits.bfloat16(), targets if share is None else mixed(targets, share)
    found = loss.loss(half, goal)
    assert found.dtype == torch.float32
    assert_close(found, loss.loss(half.float(), goal))


def test_the_method_reports_its_loss_and_deploys_its_model(targets):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, K))
    method = SupervisedSpec(loss=CrossEntropy(smoothing=0.1)).build(model)
    batch = Batch(torch.randn(N, 3, 2, 2), targets, torch.arange(N))
    total, parts = method(batch, Progress(0, 1))
    assert_close(total, F.cross_entropy(model(batch.images), targets, label_smoothing=0.1))
    assert list(parts) == ["CrossEntropy"]
    assert parts["CrossEntropy"] == total
    assert not parts["CrossEntropy"].requires_grad
    assert method.deployable() is model


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
@pytest.mark.parametrize("kind", [CrossEntropy, BinaryCrossEntropy])
def test_smoothing_outside_its_range_is_refused(kind, smoothing):
    with pytest.raises(RecipeError, match=rf"smoothing={smoothing}; give a share in \[0, 1\)"):
        kind(smoothing=smoothing)


def test_a_threshold_outside_its_range_is_refused():
    with pytest.raises(RecipeError, match=r"threshold=1\.0; give a value in \[0, 1\)"):
        BinaryCrossEntropy(threshold=1.0)
