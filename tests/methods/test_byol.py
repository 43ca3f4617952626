"""BYOL against its closed forms: the loss, what learns, how the target follows."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch, Progress
from vertebra.engine.optimizers import LARS
from vertebra.methods.byol import BYOL, BYOLSpec, distance
from vertebra.models.classifier import build_classifier
from vertebra.models.resnet import ResNetSpec
from vertebra.seeding import seeded

N, D, K = 6, 5, 3
SMALL = ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125, zero_init_last=False)
SPEC = BYOLSpec(hidden=16, projection=8, tau=0.9)
START, MIDDLE, END = Progress(0, 100), Progress(50, 100), Progress(100, 100)


@pytest.fixture
def method() -> BYOL:
    with seeded(0):
        made = SPEC.build(build_classifier(SMALL, classes=K))
        for parameter in made.target_projector.parameters():  # else it is still the online one
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.train()


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    first, second = torch.randn(2, N, 3, 16, 16, generator=draw)
    return Batch(first, torch.arange(N) % K, torch.arange(N), views=(second,))


def rows(seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(N, D, generator=draw, dtype=torch.float64)


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    return {name: value.grad for name, value in module.named_parameters()}


def test_the_distance_is_that_of_directions_and_two_less_twice_the_cosine():
    p, z = rows(0), rows(1)
    assert_close(distance(p, z), (F.normalize(p) - F.normalize(z)).square().sum(1))
    assert_close(distance(p, z), 2 - 2 * F.cosine_similarity(p, z))
    assert_close(distance(3 * p, 0.1 * z), distance(p, z))
    assert_close(distance(p, p), torch.zeros(N, dtype=torch.float64))
    assert_close(distance(p, -p), torch.full((N,), 4, dtype=torch.float64))


def test_the_gradient_is_orthogonal_to_the_prediction_and_none_flows_into_what_is_wanted():
    p, z = rows(0).requires_grad_(), rows(1).requires_grad_()
    distance(p, z).sum().backward()
    assert z.grad is None
    assert_close((p.grad * p).sum(1), torch.zeros(N, dtype=torch.float64))
    assert ((p.grad * z).sum(1) < 0).all(), "a step against it turns the prediction towards z"


def test_the_gradient_agrees_with_finite_differences():
    assert torch.autograd.gradcheck(lambda p: distance(p, rows(1)), rows(0).requires_grad_())


def test_the_loss_is_what_each_version_foretells_of_the_other(method, batch):
    total, parts = method(batch, START)

    def online(images: Tensor) -> Tensor:
        return method.predictor(method.projector(method.model.backbone(images).vector))

    def target(images: Tensor) -> Tensor:
        return method.target_projector(method.target_backbone(images).vector)

    one, other = batch.images, batch.views[0]
    there = 2 - 2 * F.cosine_similarity(online(one), target(other)).mean()
    back = 2 - 2 * F.cosine_similarity(online(other), target(one)).mean()
    assert_close(parts["byol"], there + back, atol=1e-5, rtol=1e-5)
    assert 0 < parts["byol"] < 8
    assert list(parts) == ["byol", "probe", "spread"]
    assert_close(total, parts["byol"] + parts["probe"])
    assert not any(each.requires_grad for each in parts.values())


def test_it_does_not_matter_which_version_comes_first(method, batch):
    swapped = Batch(batch.views[0], batch.targets, batch.index, views=(batch.images,))
    for there, back in zip(method(batch, START), method(swapped, START), strict=True):
        assert_close(there, back)


def test_the_target_gets_no_gradient_and_all_else_does(method, batch):
    method(batch, START).total.backward()
    found = gradients(method)
    without = {name for name, gradient in found.items() if gradient is None}
    assert without == {name for name in found if name.startswith("target_")}
    assert len(without) == len([*method.model.backbone.parameters()]) + len(
        [*method.projector.parameters()]
    ), "the predictor has no copy"
    learnt = [each for group in method.parameter_groups() for each in group.parameters]
    assert len(learnt) == len(found) - len(without)
    assert {id(each) for each in learnt} == {
        id(value) for name, value in method.named_parameters() if name not in without
    }


def test_the_probe_leaves_the_backbone_alone(method, batch):
    method(batch, START).total.backward()
    with_probe = gradients(method.model.backbone)
    method.zero_grad()
    method.model.head.requires_grad_(False)
    method(batch, START).total.backward()
    for name, gradient in gradients(method.model.backbone).items():
        assert_close(gradient, with_probe[name])


def test_a_forward_pass_moves_batch_statistics_and_nothing_else(method, batch):
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method(batch, START)
    moved = {
        name for name, value in method.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {name for name, _ in method.named_buffers()}
    assert any(name.startswith("target_backbone") for name in moved)


def test_the_share_that_is_kept_grows_from_tau_to_one_along_a_cosine():
    spec = BYOLSpec(tau=0.996)
    assert spec.tau_at(START) == pytest.approx(0.996)
    assert spec.tau_at(MIDDLE) == pytest.approx(0.998)
    assert spec.tau_at(END) == 1
    quarter = 1 - 0.004 * (math.cos(math.pi / 4) + 1) / 2
    assert spec.tau_at(Progress(25, 100)) == pytest.approx(quarter)


def test_the_target_nears_a_resting_network_by_the_product_of_what_is_kept(method):
    pairs = [
        (theirs, ours, theirs.clone() + 1)
        for target, online in (
            (method.target_backbone, method.model.backbone),
            (method.target_projector, method.projector),
        )
        for theirs, ours in zip(target.parameters(), online.parameters(), strict=True)
    ]
    with torch.no_grad():
        for theirs, _, start in pairs:
            theirs.copy_(start)
    kept = 1.0
    for step in range(1, 11):
        method.after_step(Progress(step, 20))
        kept *= SPEC.tau_at(Progress(step, 20))
    for theirs, ours, start in pairs:
        assert_close(theirs - ours, kept * (start - ours), atol=1e-5, rtol=1e-4)


def test_the_target_keeps_batch_statistics_of_its_own(method, batch):
    method(batch, START)
    before = {name: value.clone() for name, value in method.target_backbone.named_buffers()}
    method.after_step(MIDDLE)
    after = dict(method.target_backbone.named_buffers())
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_after_the_last_update_the_target_rests(method):
    before = [value.clone() for value in method.target_backbone.parameters()]
    with torch.no_grad():
        for value in method.model.backbone.parameters():
            value.add_(1)
    method.after_step(END)
    assert all(map(torch.equal, before, method.target_backbone.parameters()))


def test_a_network_that_says_the_same_of_all_has_no_loss_and_no_spread(method, batch):
    class Same(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(len(x), SPEC.projection) + 0 * x.sum()

    method.projector = method.predictor = method.target_projector = Same()
    _, parts = method(batch, START)
    assert parts["byol"].abs() < 1e-6
    assert parts["spread"] < 1e-3


def test_lars_leaves_norms_and_biases_to_plain_sgd(method, batch):
    spec = LARS(lr=2.0, weight_decay=1e-4, trust=0.02)
    optimizer = spec.build(method.parameter_groups(), torch.device("cpu"))
    method(batch, START).total.backward()
    before = {name: value.detach().clone() for name, value in method.named_parameters()}
    optimizer.step()
    for name, value in method.named_parameters():
        if not value.requires_grad:
            assert torch.equal(value, before[name])
        elif value.ndim <= 1:
            assert_close(value, before[name] - 2.0 * value.grad)
        else:
            moved = (value - before[name]).norm()
            assert_close(moved, 2.0 * 0.02 * before[name].norm(), atol=1e-5, rtol=1e-4)


def test_in_half_precision_the_loss_is_computed_in_full(method, batch):
    exact = method(batch, START).total
    with torch.autocast("cpu", torch.bfloat16):
        total, parts = method(batch, START)
    assert total.dtype == parts["spread"].dtype == torch.float32
    assert_close(total, exact, atol=0.1, rtol=0.1)


def test_a_checkpoint_holds_target_and_predictor(method, batch):
    method.after_step(MIDDLE)
    again = SPEC.build(build_classifier(SMALL, classes=K)).train()
    again.load_state_dict(method.state_dict())
    assert torch.equal(again(batch, START).total, method(batch, START).total)


def test_the_model_with_the_probe_is_deployed(method):
    assert method.deployable() is method.model
    assert method.deployable()(torch.zeros(2, 3, 16, 16)).shape == (2, K)
