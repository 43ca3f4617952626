"""The gradient of a tampered cross-entropy against p' - q, and what the paper says of p'."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.errors import RecipeError
from vertebra.methods.supervised import CrossEntropy

K = 5
POWERS = [1.0, 0.3, 0.05]


def drawn(n: int) -> Tensor:
    """Returns logits [N, K] in double precision."""
    made = torch.randn(n, K, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    return (made * 4).requires_grad_()


def gradient(loss: CrossEntropy, logits: Tensor, targets: Tensor, *, scale: float = 1.0) -> Tensor:
    """Returns that on the logits of `scale` times the loss."""
    return torch.autograd.grad(scale * loss.loss(logits, targets), logits)[0]


def powered(logits: Tensor, power: float) -> Tensor:
    """Returns p', the probabilities raised to a power and made to sum to one again."""
    raised = logits.detach().softmax(1) ** power
    return raised / raised.sum(1, keepdim=True)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["hard", "mixed", "single-precision mixed"])
@pytest.mark.parametrize(("n", "scale"), [(1, 1.0), (6, 65536.0), (6, 3.0)])
def test_gradient_is_p_prime_minus_q_for_any_target_batch_and_scale(
    power, smoothing, kind, n, scale
):
    logits, hard = drawn(n), torch.arange(n) % K
    onehot = F.one_hot(hard, K).double()
    targets = {
        "hard": hard,
        "mixed": 0.25 * onehot + 0.75 * onehot.roll(1, 1),
        "single-precision mixed": (0.25 * onehot + 0.75 * onehot.roll(1, 1)).float(),
    }[kind]
    soft = onehot if targets.ndim == 1 else targets.double()
    q = soft * (1 - smoothing) + smoothing / K
    loss = CrossEntropy(smoothing=smoothing, tampering=power)
    found = gradient(loss, logits, targets, scale=scale)
    expected = (powered(logits, power) - q) / n * scale
    assert_close(found, expected, atol=1e-10, rtol=1e-10)
    assert_close(found.sum(1), torch.zeros(n).double(), atol=1e-10, rtol=0)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_reported_loss_is_the_untampered_one_to_the_bit(power, dtype):
    logits, targets = drawn(7).to(dtype), torch.arange(7) % K
    found = CrossEntropy(smoothing=0.1, tampering=power).loss(logits, targets)
    assert torch.equal(found, CrossEntropy(smoothing=0.1).loss(logits, targets))


def test_power_one_has_the_plain_gradient_to_the_bit():
    logits, targets = drawn(7).detach().float().requires_grad_(), torch.arange(7) % K
    plain = torch.autograd.grad(F.cross_entropy(logits, targets), logits)[0]
    assert torch.equal(gradient(CrossEntropy(tampering=1.0), logits, targets), plain)


def test_as_the_power_goes_to_zero_the_gradient_goes_to_even_shares_minus_the_target():
    logits, targets = drawn(6), torch.arange(6) % K
    even = (1 / K - F.one_hot(targets, K).double()) / 6
    assert_close(gradient(CrossEntropy(tampering=1e-7), logits, targets), even, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("power", "published"), [(0.25, [0.075, 0.918, 0.006]), (0.05, [0.307, 0.506, 0.186])]
)
def test_p_prime_of_the_papers_example(power, published):
    logits = torch.tensor([[20.0, 30.0, 10.0]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([1])
    p_prime = gradient(CrossEntropy(tampering=power), logits, target)[0]
    p_prime = p_prime + torch.tensor([0.0, 1.0, 0.0])
    assert_close(p_prime, torch.tensor(published).double(), atol=1e-3, rtol=0)


def test_a_probability_at_the_threshold_stays_one_below_grows_one_above_shrinks():
    logits, power = drawn(1), 0.3
    p, p_prime = logits.detach().softmax(1), powered(logits, power)
    threshold = (p**power).sum() ** (1 / (power - 1))
    assert_close(threshold**power / (p**power).sum(), threshold)
    assert torch.equal(p_prime > p, p < threshold)


def test_ten_updates_are_those_of_a_temperature_and_a_larger_loss():
    images = torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets, temperature = torch.arange(8) % K, 4.0

    def trained(tamper: bool) -> Tensor:
        torch.manual_seed(0)
        layer = nn.Linear(6, K, dtype=torch.float64)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01)
        for _ in range(10):
            logits = layer(images)
            loss = (
                CrossEntropy(tampering=1 / temperature).loss(logits, targets)
                if tamper
                else temperature * F.cross_entropy(logits / temperature, targets)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return layer.weight.detach()

    assert_close(trained(True), trained(False), atol=1e-12, rtol=1e-12)


def test_a_sure_and_right_answer_is_still_pushed():
    logits, target = torch.tensor([[9.0, 0.0, 0.0]], requires_grad=True), torch.tensor([0])
    plain = gradient(CrossEntropy(), logits, target)[0, 0]
    assert gradient(CrossEntropy(tampering=0.3), logits, target)[0, 0] < 20 * plain < 0


@pytest.mark.parametrize("power", [0.0, -0.5, 1.5, float("nan")])
def test_a_power_outside_its_range_is_refused(power):
    with pytest.raises(RecipeError, match=rf"tampering={power}; give a power above 0"):
        CrossEntropy(tampering=power)
