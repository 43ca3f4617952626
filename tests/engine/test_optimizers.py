import json
import math
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vertebra.contracts import ParameterGroup, split_by_decay
from vertebra.engine.optimizers import LARS, SGD, AdamW, OptimizerSpec, scale_lr
from vertebra.errors import RecipeError

CPU = torch.device("cpu")
WITHOUT_FUSED = torch.device("meta")
SPECS = [SGD(lr=0.1), AdamW(lr=0.01), LARS(lr=0.5)]


def two_groups(seed: int = 0) -> list[ParameterGroup]:
    generator = torch.Generator().manual_seed(seed)
    weights = [nn.Parameter(torch.randn(3, 4, generator=generator)) for _ in range(2)]
    biases = [nn.Parameter(torch.randn(3, generator=generator))]
    return [
        ParameterGroup("weights", weights, decays=True),
        ParameterGroup("biases", biases, decays=False, lr_scale=0.5),
    ]


def give_gradients(groups: list[ParameterGroup], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for group in groups:
        for parameter in group.parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)


def values(groups: list[ParameterGroup]) -> list[torch.Tensor]:
    return [p.detach().clone() for group in groups for p in group.parameters]


@pytest.mark.parametrize("spec", SPECS)
def test_torch_groups_carry_name_and_scaled_rate_and_decay_only_where_asked(spec: OptimizerSpec):
    first, second = spec.build(two_groups(), CPU).param_groups
    assert (first["name"], first["lr_scale"], first["lr"]) == ("weights", 1.0, spec.lr)
    assert (second["name"], second["lr_scale"], second["lr"]) == ("biases", 0.5, spec.lr / 2)
    assert first["weight_decay"] == spec.weight_decay > 0
    assert second["weight_decay"] == 0


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_equals_a_plain_loop(nesterov: bool):
    groups = two_groups()
    spec = SGD(lr=0.1, momentum=0.8, nesterov=nesterov, weight_decay=0.05)
    optimizer = spec.build(groups, CPU)
    expected = values(groups)
    momenta = [torch.zeros_like(w) for w in expected]
    for step in range(4):
        give_gradients(groups, step)
        gradients = [p.grad for group in groups for p in group.parameters]
        for w, v, g, decay, lr in zip(
            expected, momenta, gradients, (0.05, 0.05, 0), (0.1, 0.1, 0.05), strict=True
        ):
            assert g is not None
            g = g + decay * w
            v.mul_(0.8).add_(g)
            w.sub_(lr * (g + 0.8 * v if nesterov else v))
        optimizer.step()
    assert_close(values(groups), expected)


def test_adamw_equals_a_plain_loop():
    groups = two_groups()
    optimizer = AdamW(lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3).build(groups, CPU)
    expected = values(groups)
    first = [torch.zeros_like(w) for w in expected]
    second = [torch.zeros_like(w) for w in expected]
    for step in range(1, 5):
        give_gradients(groups, step)
        gradients = [p.grad for group in groups for p in group.parameters]
        for w, m, v, g, decay, lr in zip(
            expected, first, second, gradients, (0.3, 0.3, 0), (0.1, 0.1, 0.05), strict=True
        ):
            assert g is not None
            w.mul_(1 - lr * decay)
            m.mul_(0.8).add_(0.2 * g)
            v.mul_(0.95).add_(0.05 * g * g)
            spread = (v / (1 - 0.95**step)).sqrt() + 1e-6
            w.sub_(lr * m / (1 - 0.8**step) / spread)
        optimizer.step()
    assert_close(values(groups), expected)


@pytest.mark.parametrize("spec", [SGD(lr=0.1), AdamW(lr=0.01)])
def test_fused_is_used_where_torch_has_it_and_equals_the_foreach_form(spec: SGD | AdamW):
    fused_groups, foreach_groups = two_groups(), two_groups()
    fused = spec.build(fused_groups, CPU)
    foreach = spec.build(foreach_groups, WITHOUT_FUSED)
    assert (fused.defaults["fused"], fused.defaults["foreach"]) == (True, None)
    assert (foreach.defaults["fused"], foreach.defaults["foreach"]) == (None, True)
    for step in range(3):
        for groups, optimizer in ((fused_groups, fused), (foreach_groups, foreach)):
            give_gradients(groups, step)
            optimizer.step()
    assert_close(values(fused_groups), values(foreach_groups))


@pytest.mark.parametrize("spec", [SGD(lr=0.05), AdamW(lr=0.01)])
def test_fused_updates_of_a_channels_last_network_equal_the_foreach_ones(spec: SGD | AdamW):
    """CPU kernels ignore strides, so autograd has to give gradients the weights' layout."""
    weights: list[dict[str, torch.Tensor]] = []
    for device in (CPU, WITHOUT_FUSED):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
        network.to(memory_format=torch.channels_last)
        optimizer = spec.build(split_by_decay(network), device)
        for _ in range(3):
            images = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
            network(images).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        weights.append(network.state_dict())
    assert_close(weights[0], weights[1])


def test_momentum_that_starts_at_zero_is_bitwise_torchs_own():
    ours, theirs = two_groups(), two_groups()
    optimizer = SGD(lr=0.1, weight_decay=0).build(ours, CPU)
    reference = torch.optim.SGD(
        [{"params": group.parameters, "lr": 0.1 * group.lr_scale} for group in theirs],
        momentum=0.9,
        nesterov=True,
        fused=True,
    )
    for step in range(3):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        optimizer.step()
        reference.step()
    assert all(torch.equal(a, b) for a, b in zip(values(ours), values(theirs), strict=True))


@pytest.mark.parametrize("spec", SPECS)
def test_a_parameter_may_get_its_first_gradient_later_than_others(spec: OptimizerSpec):
    groups = two_groups()
    early, late = groups[0].parameters
    optimizer = spec.build(groups, CPU)
    before = late.detach().clone()
    early.grad = torch.ones_like(early)
    optimizer.step()
    assert torch.equal(late, before)
    late.grad = torch.ones_like(late)
    optimizer.step()
    assert not torch.equal(late, before)


@pytest.mark.parametrize("spec", SPECS)
def test_empty_groups_are_left_out_and_nothing_to_train_is_refused(spec: OptimizerSpec):
    empty = ParameterGroup("empty", [], decays=True)
    assert len(spec.build([empty, *two_groups()], CPU).param_groups) == 2
    with pytest.raises(RecipeError, match="no trainable parameter"):
        spec.build([empty], CPU)


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_survives_json(spec: OptimizerSpec):
    data = json.loads(json.dumps(asdict(spec)))
    if "betas" in data:
        data["betas"] = tuple(data["betas"])
    assert type(spec)(**data) == spec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(lr=0), "SGD lr=0"),
        (lambda: SGD(lr=math.nan), "SGD lr=nan"),
        (lambda: SGD(lr=0.1, momentum=1.0), "SGD momentum=1.0"),
        (lambda: SGD(lr=0.1, momentum=0), "nesterov=True with momentum=0"),
        (lambda: SGD(lr=0.1, weight_decay=-1e-4), "SGD weight_decay=-0.0001"),
        (lambda: AdamW(lr=math.inf), "AdamW lr=inf"),
        (lambda: AdamW(lr=0.1, betas=(0.9, 1.0)), r"AdamW betas\[1\]=1.0"),
        (lambda: AdamW(lr=0.1, eps=0), "AdamW eps=0"),
        (lambda: LARS(lr=-1), "LARS lr=-1"),
        (lambda: LARS(lr=0.1, trust=0), "LARS trust=0"),
    ],
)
def test_values_out_of_range_are_refused_with_what_to_give(make, message: str):
    with pytest.raises(RecipeError, match=message + ".*give"):
        make()


def test_sgd_without_momentum_keeps_no_state():
    groups = two_groups()
    optimizer = SGD(lr=0.1, momentum=0, nesterov=False).build(groups, CPU)
    give_gradients(groups, 0)
    optimizer.step()
    assert not any(optimizer.state.values())


def test_the_rate_scales_linearly_with_the_batch():
    assert scale_lr(0.1, 256) == 0.1
    assert scale_lr(0.1, 4096) == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("spec", "expected"), [(SGD(lr=0.4), 0.1), (LARS(lr=0.4), 0.1), (AdamW(lr=0.4), 0.2)]
)
def test_another_batch_moves_the_rate_linearly_and_adams_with_the_square_root(spec, expected):
    assert spec.lr_for(0.25) == pytest.approx(expected)
    assert spec.lr_for(1.0) == spec.lr
