"""The divergence against its other forms and its bounds; the loss, its weight and its gradients."""

import math

import pytest
import torch
from tests.methods.shown import shown
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch, Progress
from vertebra.errors import RecipeError
from vertebra.methods.co_training import CoTraining, CoTrainingSpec, jensen_shannon
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy, SupervisedSpec
from vertebra.models.classifier import build_classifier
from vertebra.models.divide import DividedSpec
from vertebra.models.ensemble import EnsembleSpec
from vertebra.models.resnet import ResNetSpec

N, K = 6, 4
SMALL = ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125)
START, END = Progress(0, 300), Progress(299, 300)


def answers(networks: int, *, scale: float = 3.0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(networks)
    return scale * torch.randn(networks, N, K, generator=draw, dtype=torch.float64)


def model_of(networks: int):
    torch.manual_seed(0)
    return build_classifier(EnsembleSpec(member=SMALL, networks=networks), classes=K)


def batch_for(networks: int, *, soft: bool = False) -> Batch:
    draw = torch.Generator().manual_seed(1)
    first, *others = torch.randn(networks, N, 3, 32, 32, generator=draw)
    targets = torch.tensor([0, 1, 2, 3, 1, 0])
    if soft:
        onehot = F.one_hot(targets, K).float()
        targets = 0.7 * onehot + 0.3 * onehot.roll(1, 0)
    return Batch(first, targets, torch.arange(N), views=tuple(others))


def entropy(p: torch.Tensor) -> torch.Tensor:
    return -(p * p.log()).sum(-1)


@pytest.mark.parametrize("networks", [2, 3, 5])
def test_the_divergence_is_the_entropy_of_the_mean_less_the_mean_entropy(networks):
    p = answers(networks).softmax(-1)
    expected = (entropy(p.mean(0)) - entropy(p).mean(0)).mean()
    assert_close(jensen_shannon(answers(networks)), expected)


@pytest.mark.parametrize("networks", [2, 3, 5])
def test_the_divergence_lies_between_zero_and_the_logarithm_of_the_networks(networks):
    for scale in (0.1, 1.0, 10.0, 1000.0):
        assert 0 <= jensen_shannon(answers(networks, scale=scale)) <= math.log(networks) + 1e-12


def test_answers_that_are_the_same_do_not_diverge():
    same = answers(1).expand(3, N, K)
    assert_close(jensen_shannon(same), torch.zeros((), dtype=torch.float64))
    assert_close(jensen_shannon(same + 7.0), torch.zeros((), dtype=torch.float64))


def test_certain_answers_that_exclude_each_other_diverge_by_the_whole_logarithm():
    certain = 1000 * torch.eye(3)[:, None]  # [3, 1, 3]: no probability but one is above zero
    assert_close(jensen_shannon(certain), torch.tensor(math.log(3)))


def test_the_divergence_knows_no_order():
    logits = answers(3)
    assert_close(jensen_shannon(logits[[2, 0, 1]]), jensen_shannon(logits))


def test_gradients_of_the_divergence_agree_with_differences_and_reach_all():
    logits = answers(3).requires_grad_()
    assert torch.autograd.gradcheck(jensen_shannon, (logits,))
    (gradient,) = torch.autograd.grad(jensen_shannon(logits), logits)
    assert (gradient.abs().sum((1, 2)) > 1e-3).all()


def test_gradients_of_certain_answers_are_finite():
    logits = (1e4 * answers(2)).float().requires_grad_()
    jensen_shannon(logits).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("networks", [2, 3])
def test_the_loss_is_the_sum_of_the_networks_losses_and_the_weighted_divergence(networks, soft):
    method = CoTrainingSpec(loss=CrossEntropy(smoothing=0.1)).build(model_of(networks)).eval()
    batch = batch_for(networks, soft=soft)
    model = method.deployable()
    pairs = zip(model.backbone.members, model.head.heads, (batch.images, *batch.views), strict=True)
    logits = torch.stack([head(member(view).vector) for member, head, view in pairs])
    labels = sum(F.cross_entropy(z, batch.targets, label_smoothing=0.1) for z in logits)
    total, parts = method(batch, END)
    assert_close(total, labels + 0.5 * jensen_shannon(logits))
    assert_close(parts["labels"], labels.detach())
    assert_close(parts["disagreement"], jensen_shannon(logits).detach())
    assert not any(each.requires_grad for each in parts.values())


def test_one_network_learns_as_it_would_alone():
    model, batch = model_of(1), batch_for(1)
    alone = SupervisedSpec().build(model)(batch, END)
    together = CoTrainingSpec().build(model)(batch, END)
    assert torch.equal(together.total, alone.total)
    assert list(together.parts) == ["labels"]


def test_without_weight_each_network_gets_the_gradient_that_it_would_get_alone():
    model, batch = model_of(2), batch_for(2)
    CoTrainingSpec(weight=0.0).build(model)(batch, END).total.backward()
    found = [p.grad.clone() for p in model.backbone.members[1].parameters()]
    model.zero_grad()
    alone = model.head.heads[1](model.backbone.members[1](batch.views[0]).vector)
    F.cross_entropy(alone, batch.targets).backward()
    expected = [p.grad for p in model.backbone.members[1].parameters()]
    assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_the_networks_learn_from_their_disagreement():
    gradients = []
    for weight in (0.0, 0.5):
        model = model_of(2)
        CoTrainingSpec(weight=weight, warmup=0.0).build(model)(batch_for(2), START).total.backward()
        gradients.append([p.grad for p in model.backbone.members[1].parameters()])
    assert not all(map(torch.equal, *gradients))


def test_every_trainable_parameter_is_learnt_once_and_gets_a_gradient():
    method = CoTrainingSpec().build(model_of(3))
    method(batch_for(3), END).total.backward()
    assert all(p.grad is not None for p in method.parameters())
    learnt = [id(p) for group in method.parameter_groups() for p in group.parameters]
    assert sorted(learnt) == sorted(map(id, method.parameters()))


def test_the_weight_grows_from_its_floor_for_40_of_300_epochs():
    spec = CoTrainingSpec()
    weights = [spec.weight_at(Progress(epoch, 300)) for epoch in range(300)]
    assert weights[0] == 0.005
    assert weights[20] == pytest.approx(0.25)
    assert weights[40] == pytest.approx(0.5)
    assert weights[40:] == [weights[40]] * 260
    assert weights == sorted(weights)


@pytest.mark.parametrize(
    ("spec", "start"),
    [
        (CoTrainingSpec(warmup=0.0), 0.5),
        (CoTrainingSpec(weight=0.0), 0.0),
        (CoTrainingSpec(weight=0.001), 0.001),
        (CoTrainingSpec(floor=0.0), 0.0),
    ],
)
def test_the_floor_is_never_above_the_weight(spec, start):
    assert spec.weight_at(START) == start
    assert spec.weight_at(END) == spec.weight


@pytest.mark.parametrize("loss", [CrossEntropy(), BinaryCrossEntropy()])
def test_half_precision_gives_a_full_precision_loss(loss):
    method = CoTrainingSpec(loss=loss).build(model_of(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, parts = method(batch_for(2), END)
    assert {total.dtype, *(each.dtype for each in parts.values())} == {torch.float32}
    assert total.isfinite()


@pytest.mark.slow
def test_compiling_changes_nothing_as_the_weight_grows():
    method = CoTrainingSpec(warmup=1.0).build(model_of(2)).eval()
    plain = [method(batch_for(2), Progress(step, 12)).total for step in range(12)]
    method.compile()
    torch.compiler.reset()
    found = [method(batch_for(2), Progress(step, 12)).total for step in range(12)]
    assert_close(found, plain, rtol=1e-4, atol=1e-4)


def test_the_ensemble_is_deployed():
    model = model_of(2)
    method = CoTrainingSpec().build(model)
    assert isinstance(method, CoTraining)
    assert method.deployable() is model


def test_one_plain_network_is_refused():
    with pytest.raises(RecipeError, match="the model is one, ResidualNet; divide it with a"):
        CoTrainingSpec().build(build_classifier(SMALL, classes=K))
    with pytest.raises(RecipeError, match="the model is one, resnet18 with"):
        CoTrainingSpec().check(shown(model=SMALL, views=1))


@pytest.mark.parametrize(
    "model", [DividedSpec(whole=SMALL, networks=3), EnsembleSpec(member=SMALL)]
)
def test_views_that_do_not_go_round_are_refused(model):
    CoTrainingSpec().check(shown(model=model, views=model.networks - 1))
    with pytest.raises(
        RecipeError, match=f"each of {model.networks} networks a version of its own"
    ):
        CoTrainingSpec().check(shown(model=model, views=model.networks))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weight": -1.0}, "weight=-1.0 and floor=0.005; give finite numbers, zero or more"),
        ({"floor": math.inf}, "floor=inf"),
        ({"warmup": 1.5}, "warmup=1.5; give a share of the phase from 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(changes, told):
    with pytest.raises(RecipeError, match=told):
        CoTrainingSpec(**changes)
