import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from vertebra.contracts import ParameterGroup
from vertebra.engine.lars import LARS
from vertebra.engine.optimizers import LARS as LARSSpec


def parameters(*shapes: tuple[int, ...], seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in shapes
    ]


def naive_step(
    w: torch.Tensor, v: torch.Tensor, g: torch.Tensor, group: dict[str, float | None]
) -> None:
    """One tensor, one update, written as in the paper's algorithm; in place."""
    lr, momentum, decay = (group[key] or 0.0 for key in ("lr", "momentum", "weight_decay"))
    update = g + decay * w
    trust = group["trust"]
    if trust is not None:
        of_weights, of_update = w.norm().item(), update.norm().item()
        if of_weights > 0 and of_update > 0:
            update = update * (trust * of_weights / of_update)
    v.mul_(momentum).add_(update)
    w.sub_(lr * v)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    lr=st.floats(0.01, 5),
    momentum=st.floats(0, 0.99),
    decay=st.floats(0, 0.1),
    trust=st.none() | st.floats(1e-4, 0.1),
    is_zero=st.booleans(),
)
def test_lars_equals_a_naive_loop(
    seed: int, lr: float, momentum: float, decay: float, trust: float | None, is_zero: bool
):
    weights = parameters((3, 4), (2, 3, 3, 3), (5,), seed=seed)
    if is_zero:
        weights[0].data.zero_()
    group = {"lr": lr, "momentum": momentum, "weight_decay": decay, "trust": trust}
    optimizer = LARS(weights, lr, momentum=momentum, weight_decay=decay, trust=trust)
    expected = [w.detach().clone() for w in weights]
    momenta = [torch.zeros_like(w) for w in expected]
    generator = torch.Generator().manual_seed(seed + 1)
    for _ in range(3):
        for w, e, v in zip(weights, expected, momenta, strict=True):
            w.grad = torch.randn(w.shape, generator=generator, dtype=w.dtype)
            naive_step(e, v, w.grad, group)
        optimizer.step()
    assert_close([w.detach() for w in weights], expected)


def test_the_first_update_is_as_long_as_rate_times_trust_times_the_weights():
    (w,) = parameters((6, 7))
    before = w.detach().clone()
    w.grad = torch.randn_like(w) * 1e3
    LARS([w], 0.5, weight_decay=1e-2, trust=1e-3).step()
    assert_close((w.detach() - before).norm(), 0.5 * 1e-3 * before.norm())


def test_a_group_that_does_not_decay_gets_plain_momentum_sgd():
    ours, theirs = parameters((4,)), parameters((4,))
    spec = LARSSpec(lr=0.3, weight_decay=0.1)
    optimizer = spec.build([ParameterGroup("norms", ours, decays=False)], torch.device("cpu"))
    reference = torch.optim.SGD(theirs, lr=0.3, momentum=0.9)
    for step in range(4):
        ours[0].grad = torch.full_like(ours[0], step + 1.0)
        theirs[0].grad = torch.full_like(theirs[0], step + 1.0)
        optimizer.step()
        reference.step()
    assert_close(ours[0], theirs[0])


def test_a_group_that_decays_adapts_even_when_the_decay_is_zero():
    group = ParameterGroup("weights", parameters((4, 4)), decays=True)
    optimizer = LARSSpec(lr=0.3, weight_decay=0.0).build([group], torch.device("cpu"))
    assert optimizer.param_groups[0]["trust"] == 0.001


@pytest.mark.parametrize("of_gradient", [0.0, 1.0])
def test_zero_weights_and_zero_gradients_give_finite_plain_updates(of_gradient: float):
    w = nn.Parameter(torch.zeros(3, 3))
    w.grad = torch.full_like(w, of_gradient)
    LARS([w], 0.1).step()
    assert_close(w.detach(), torch.full((3, 3), -0.1 * of_gradient))


def test_gradients_stay_as_they_were_and_a_closures_loss_comes_back():
    (w,) = parameters((3, 3))
    optimizer = LARS([w], 0.1, weight_decay=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss.item()

    twice_before = 2 * w.detach().clone()
    assert optimizer.step(closure) == pytest.approx(twice_before.square().sum().item() / 4)
    assert w.grad is not None and torch.equal(w.grad, twice_before)
