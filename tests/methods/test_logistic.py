"""The multi-label logistic loss against closed forms and finite differences, in float64."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.errors import RecipeError
from vertebra.methods.logistic import Logistic
from vertebra.methods.supervised import BinaryCrossEntropy

N, K = 5, 7


@pytest.fixture
def logits() -> Tensor:
    drawn = torch.randn(N, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (3 * drawn).requires_grad_()


@pytest.fixture
def several() -> Tensor:
    """Several classes at once, soft ones too."""
    return torch.rand(N, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def gradient(loss: Logistic, logits: Tensor, targets: Tensor) -> Tensor:
    return torch.autograd.grad(loss.loss(logits, targets), logits)[0]


def test_even_logits_cost_k_times_the_logarithm_of_two(several):
    zero = torch.zeros(N, K, dtype=torch.float64)
    for targets in (several, torch.arange(N), (several > 0.5).long()):
        assert_close(Logistic().loss(zero, targets), torch.tensor(K * math.log(2)).double())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_weight_and_mask_it_is_the_summed_binary_cross_entropy(logits, several, smoothing):
    ours, other = Logistic(smoothing=smoothing), BinaryCrossEntropy(smoothing=smoothing)
    for targets in (several, torch.arange(N)):
        assert_close(ours.loss(logits, targets), other.loss(logits, targets))


def test_the_gradient_is_the_probability_less_the_target(logits, several):
    found = gradient(Logistic(), logits, several)
    assert_close(found, (logits.sigmoid() - several) / N)


def test_the_weight_of_positives_multiplies_their_gradients_and_no_others(logits):
    targets = F.one_hot(torch.arange(N), K)
    plain, heavy = (gradient(Logistic(positive_weight=w), logits, targets) for w in (1.0, 12.0))
    is_positive = targets.bool()
    assert_close(heavy[is_positive], 12 * plain[is_positive])
    assert torch.equal(heavy[~is_positive], plain[~is_positive])


def test_gradients_agree_with_finite_differences(logits, several):
    loss = Logistic(positive_weight=3.0, smoothing=0.1)
    several[1, 2] = -1
    assert torch.autograd.gradcheck(lambda x: loss.loss(x, several), logits)


def test_what_is_unknown_costs_nothing_and_gives_no_gradient(logits, several):
    hidden = several.clone()
    hidden[0, 1] = hidden[2, 3] = -1
    found = gradient(Logistic(smoothing=0.2), logits, hidden)
    assert found[0, 1] == found[2, 3] == 0
    seen = hidden >= 0
    assert_close(found[seen], gradient(Logistic(smoothing=0.2), logits, several)[seen])
    numbers = torch.tensor([0, -1, 2, 3, -1])
    assert (gradient(Logistic(), logits, numbers)[[1, 4]] == 0).all()
    known = [0, 2, 3]
    rest = Logistic().loss(logits[known], numbers[known]) * len(known) / N
    assert_close(Logistic().loss(logits, numbers), rest)


def test_more_classes_that_are_told_apart_do_not_dilute_the_others(logits):
    more = torch.cat([logits, torch.full((N, 1000), -100.0, dtype=torch.float64)], dim=1)
    targets = torch.arange(N)
    assert_close(Logistic().loss(more, targets), Logistic().loss(logits, targets))


def test_far_logits_stay_finite_and_half_precision_gives_a_full_precision_loss():
    far = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = Logistic().loss(far, torch.tensor([1]))
    assert_close(loss, torch.tensor(2e4))
    (found,) = torch.autograd.grad(loss, far)
    assert_close(found, torch.tensor([[1.0, -1.0]]))
    half = torch.randn(N, K).bfloat16()
    assert Logistic().loss(half, torch.arange(N)).dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"positive_weight": 0.0}, r"positive_weight=0\.0; give a number above 0"),
        ({"positive_weight": math.inf}, "positive_weight=inf"),
        ({"smoothing": 1.0}, r"smoothing=1\.0; give a share"),
    ],
)
def test_a_value_out_of_range_is_refused(changes, told):
    with pytest.raises(RecipeError, match=told):
        Logistic(**changes)
