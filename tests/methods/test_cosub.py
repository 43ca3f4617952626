"""cosub against its closed form, with a network whose answers are given and with real ones."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch, Losses, Progress
from vertebra.errors import RecipeError
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.methods.cosub import Cosub, CosubSpec, peer_loss
from vertebra.methods.logistic import Logistic
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy, LossSpec
from vertebra.models.classifier import build_classifier
from vertebra.models.convnext import ConvNeXtSpec
from vertebra.models.resnet import ResNetSpec
from vertebra.models.timm import TimmSpec

N, K = 4, 3
SMALL = ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125, zero_init_last=False)
BINARY = BinaryCrossEntropy(sum_classes=False)
LOSSES = [BINARY, BinaryCrossEntropy(), Logistic(), CrossEntropy()]
NOW = Progress(0, 1)


class Answers(nn.Module):
    """Gives [2N, K] whatever it is shown, and keeps what that was."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return self.logits * 1


@pytest.fixture
def answers() -> Answers:
    made = torch.randn(2 * N, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Answers(2 * made)


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    soft = torch.rand(N, K, generator=draw, dtype=torch.float64)
    return Batch(
        torch.randn(N, 3, 16, 16, generator=draw), soft / soft.sum(1, keepdim=True), torch.arange(N)
    )


def learnt(answers: Answers, batch: Batch, loss: LossSpec, *, weight: float = 0.5) -> Losses:
    return Cosub(answers, loss, label_weight=weight)(batch, NOW)


def by_hand(answers: Answers, targets: Tensor, loss: LossSpec, *, weight: float) -> Tensor:
    """Returns the loss as the paper's four terms."""
    one, two = answers.logits.split(N)

    def said(logits: Tensor) -> Tensor:
        logits = logits.detach()
        return logits.softmax(1) if isinstance(loss, CrossEntropy) else logits.sigmoid()

    labels = loss.loss(one, targets) + loss.loss(two, targets)
    peers = loss.loss(one, said(two)) + loss.loss(two, said(one))
    return weight * labels / 2 + (1 - weight) * peers / 2


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weight", [0.5, 0.8, 1.0])
def test_loss_and_gradient_are_those_of_the_four_terms(answers, batch, loss, weight):
    found = learnt(answers, batch, loss, weight=weight).total
    expected = by_hand(answers, batch.targets, loss, weight=weight)
    assert_close(found, expected)
    gradients = [torch.autograd.grad(each, answers.logits)[0] for each in (found, expected)]
    assert_close(*gradients, atol=1e-12, rtol=0)


def test_each_binary_answer_is_pulled_to_the_mean_of_label_and_peer(answers, batch):
    (found,) = torch.autograd.grad(learnt(answers, batch, BINARY).total, answers.logits)
    one, two = answers.logits.detach().sigmoid().split(N)
    expected = torch.cat((one - (batch.targets + two) / 2, two - (batch.targets + one) / 2))
    assert_close(found, 0.5 / (N * K) * expected, atol=1e-10, rtol=0)


def test_each_softmax_answer_is_pulled_to_the_mean_of_label_and_peer(answers, batch):
    (found,) = torch.autograd.grad(learnt(answers, batch, CrossEntropy()).total, answers.logits)
    one, two = answers.logits.detach().softmax(1).split(N)
    expected = torch.cat((one - (batch.targets + two) / 2, two - (batch.targets + one) / 2))
    assert_close(found, 0.5 / N * expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_answers_teach_each_other_nothing(answers, batch, loss):
    with torch.no_grad():
        answers.logits[N:] = answers.logits[:N]
    (found,) = torch.autograd.grad(learnt(answers, batch, loss).total, answers.logits)
    label = loss.loss(answers.logits[:N], batch.targets)
    (alone,) = torch.autograd.grad(label, answers.logits)
    assert_close(found[:N] + found[N:], alone[:N] / 2, atol=1e-12, rtol=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_the_submodels_is_of_no_importance(answers, batch, loss):
    before = learnt(answers, batch, loss).total
    with torch.no_grad():
        answers.logits.copy_(answers.logits.roll(N, 0))
    assert_close(learnt(answers, batch, loss).total, before)


def test_both_submodels_see_the_same_images_in_one_pass(answers, batch):
    learnt(answers, batch, BINARY)
    (seen,) = answers.seen
    assert torch.equal(seen[:N], batch.images)
    assert torch.equal(seen[N:], batch.images)


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossEntropy(threshold=0.2, smoothing=0.1, sum_classes=False),
        CrossEntropy(smoothing=0.1, tampering=0.3),
    ],
)
def test_what_is_done_to_labels_is_not_done_to_the_peers_answer(answers, batch, loss):
    plain = CrossEntropy() if isinstance(loss, CrossEntropy) else BINARY
    gradients = [
        torch.autograd.grad(peer_loss(each, answers.logits), answers.logits)[0]
        for each in (loss, plain)
    ]
    assert torch.equal(*gradients)
    parts = learnt(answers, batch, loss).parts
    assert_close(parts["labels"], loss.loss(answers.logits, torch.cat([batch.targets] * 2)))


def test_class_numbers_and_half_precision_are_taken(answers, batch):
    numbers = torch.arange(N) % K
    answers.to(torch.bfloat16)
    hard = replace(batch, targets=numbers)
    soft = replace(batch, targets=F.one_hot(numbers, K).float())
    found = learnt(answers, hard, BINARY).total
    assert found.dtype == torch.float32
    assert_close(found, learnt(answers, soft, BINARY).total)


def test_submodels_of_a_real_network_differ_and_every_weight_learns(batch):
    torch.manual_seed(0)
    model = build_classifier(replace(SMALL, stochastic_depth=0.5), classes=K)
    method = CosubSpec().build(model)
    total, parts = method(replace(batch, targets=batch.targets.float()), NOW)
    total.backward()
    assert all(each.grad is not None for each in method.parameters() if each.requires_grad)
    assert {name: each.requires_grad for name, each in parts.items()} == {
        "labels": False,
        "peers": False,
    }
    assert_close(0.5 * parts["labels"] + 0.5 * parts["peers"], total.detach())
    one, two = model(torch.cat((batch.images, batch.images))).split(N)
    assert (one - two).abs().amax() > 1e-3


def test_batch_norms_move_once_in_a_step(batch):
    model = build_classifier(replace(SMALL, stochastic_depth=0.5), classes=K)
    CosubSpec().build(model)(replace(batch, targets=batch.targets.float()), NOW)
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm2d)]
    assert {int(each.num_batches_tracked) for each in norms} == {1}


def test_the_mean_over_submodels_of_a_linear_network_is_the_whole():
    torch.manual_seed(0)

    class Residual(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return x + drop(super().forward(x))

    drop = StochasticDepth(0.3)
    network = nn.Sequential(*(Residual(4, 4, bias=False) for _ in range(3)))
    image = torch.randn(1, 4)
    with torch.no_grad():
        mean = network(image.expand(200_000, 4)).mean(0)
        drop.eval()
        assert_close(mean, network(image)[0], atol=0.01, rtol=0)


def test_what_is_deployed_is_the_model():
    model = build_classifier(replace(SMALL, stochastic_depth=0.5), classes=K)
    assert CosubSpec().build(model).deployable() is model


@pytest.mark.parametrize(
    ("spec", "rate"),
    [(SMALL, 0.1), (ConvNeXtSpec(depth=0.1, width=0.1), 0.1), (TimmSpec(name="resnet18"), 0.1)],
    ids=["resnet", "convnext", "timm"],
)
def test_a_network_that_drops_no_blocks_is_refused(spec, rate):
    with torch.device("meta"):
        without = build_classifier(spec, classes=K)
        dropping = build_classifier(replace(spec, stochastic_depth=rate), classes=K)
    with pytest.raises(RecipeError, match=r"set model\.stochastic_depth above 0"):
        CosubSpec().build(without)
    CosubSpec().build(dropping)


@pytest.mark.parametrize("weight", [0.0, -0.1, 1.5])
def test_a_label_weight_outside_its_range_is_refused(weight):
    with pytest.raises(RecipeError, match=rf"label_weight={weight}; give a share above 0"):
        CosubSpec(label_weight=weight)
