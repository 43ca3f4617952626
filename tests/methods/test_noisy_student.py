"""One pass, two losses: what they add up to, where gradients go, when there is nothing to learn."""

import pytest
import torch
from tests.methods.shown import shown
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch, Progress
from vertebra.data.beside import Beside, PseudoLabels
from vertebra.errors import RecipeError
from vertebra.methods.noisy_student import NoisyStudentSpec
from vertebra.methods.pseudo_labels import as_targets
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy

N, M, K = 4, 12, 5
NOW = Progress(0, 1)


def pictures(count: int, seed: int) -> Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 4, 4, generator=drawn, dtype=torch.float64)


@pytest.fixture
def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, K)).double()


def batch(targets: Tensor, *, labels: Tensor | None = None) -> Batch:
    known = torch.arange(N) % K if labels is None else labels
    others = Batch(pictures(M, 2), targets, torch.arange(M))
    return Batch(pictures(N, 1), known, torch.arange(N), unlabelled=others)


def test_the_pool_counts_by_its_number_or_as_told(model):
    soft = pictures(M, 3).flatten(1)[:, :K].softmax(1)
    given = batch(soft)
    labelled = F.cross_entropy(model(given.images), given.targets, label_smoothing=0.1)
    guessed = F.cross_entropy(model(given.unlabelled.images), soft)
    for weight, factor in ((None, M / N), (0.5, 0.5), (0.0, 0.0)):
        found = NoisyStudentSpec(weight=weight).build(model)(given, NOW)
        assert_close(found.total, labelled + factor * guessed)
        assert_close(found.parts["labelled"], labelled.detach())
        assert_close(found.parts["pseudo-labelled"], guessed.detach())
        assert not any(each.requires_grad for each in found.parts.values())


@pytest.mark.parametrize("ratio", [1, 3])
def test_the_same_images_beside_count_ratio_times_as_much(model, ratio):
    images, labels = pictures(N, 1), torch.arange(N)
    others = Batch(images.repeat(ratio, 1, 1, 1), labels.repeat(ratio), torch.arange(N * ratio))
    given = Batch(images, labels, labels, unlabelled=others)
    found = NoisyStudentSpec(hard_smoothing=0.1).build(model)(given, NOW)
    assert_close(found.parts["labelled"], found.parts["pseudo-labelled"])
    assert_close(found.total, (1 + ratio) * found.parts["labelled"])


def test_hard_labels_are_smoothed_and_soft_ones_are_not(model):
    hard = torch.arange(M) % K
    soft = F.one_hot(hard, K).double()
    method = NoisyStudentSpec(hard_smoothing=0.2).build(model)
    logits = model(batch(hard).unlabelled.images)
    said = method(batch(hard), NOW).parts["pseudo-labelled"]
    assert_close(said, F.cross_entropy(logits, hard, label_smoothing=0.2).detach())
    said = method(batch(soft), NOW).parts["pseudo-labelled"]
    assert_close(said, F.cross_entropy(logits, soft).detach())


def test_mixed_labels_beside_classes_of_the_teacher(model):
    mixed = torch.full((N, K), 1 / K, dtype=torch.float64)
    found = NoisyStudentSpec().build(model)(batch(torch.arange(M) % K, labels=mixed), NOW)
    assert found.total.isfinite()


def test_a_student_that_is_its_teacher_learns_nothing_without_noise(model):
    """The argument of the paper for noise: the gradient of soft labels is then zero."""
    given = batch(torch.zeros(M, dtype=torch.int64))
    with torch.no_grad():
        soft = as_targets(model(given.unlabelled.images).softmax(1), hard=False)
    method = NoisyStudentSpec().build(model)
    taught, alone = (
        torch.autograd.grad(total, [*model.parameters()])
        for total in (
            method(batch(soft), NOW).total,
            method.criterion.loss(model(given.images), given.targets),
        )
    )
    for ours, theirs in zip(taught, alone, strict=True):
        assert_close(ours, theirs, atol=1e-12, rtol=0)
    noisy = nn.Sequential(nn.Dropout(0.5), model)
    method = NoisyStudentSpec(weight=1.0).build(noisy)
    torch.manual_seed(0)
    (gradient,) = torch.autograd.grad(method(batch(soft), NOW).total, [model[1].bias])
    assert not torch.allclose(gradient, alone[1], atol=1e-3)


def test_gradients_agree_with_finite_differences(model):
    soft = pictures(M, 3).flatten(1)[:, :K].softmax(1)
    method = NoisyStudentSpec().build(model)
    bias = model[1].bias
    (found,) = torch.autograd.grad(method(batch(soft), NOW).total, [bias])
    for k in range(K):
        ends: list[Tensor] = []
        for sign in (1, -1):
            with torch.no_grad():
                bias[k] += sign * 1e-6
                ends.append(method(batch(soft), NOW).total)
                bias[k] -= sign * 1e-6
        assert_close(found[k], (ends[0] - ends[1]) / 2e-6, atol=1e-7, rtol=1e-6)


def test_both_share_batch_statistics_in_one_pass():
    norm = nn.BatchNorm2d(3, momentum=1.0).double()
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(48, K).double())
    given = batch(torch.arange(M) % K)
    NoisyStudentSpec().build(model)(given, NOW)
    together = torch.cat((given.images, given.unlabelled.images))
    assert norm.num_batches_tracked == 1
    assert_close(norm.running_mean, together.mean((0, 2, 3)))


def test_sigmoids_take_pseudo_labels_too(model):
    soft = pictures(M, 3).flatten(1)[:, :K].softmax(1)
    loss = BinaryCrossEntropy(smoothing=0.1)
    found = NoisyStudentSpec(loss=loss, weight=1.0).build(model)(batch(soft), NOW)
    plain = BinaryCrossEntropy().loss(model(batch(soft).unlabelled.images), soft)
    assert_close(found.parts["pseudo-labelled"], plain.detach())


def test_the_model_is_what_is_deployed(model):
    assert NoisyStudentSpec().build(model).deployable() is model


def test_batches_without_a_pool_are_refused(model):
    given = Batch(pictures(N, 1), torch.arange(N), torch.arange(N))
    with pytest.raises(RecipeError, match=r"set data\.beside, or give --unlabelled"):
        NoisyStudentSpec().build(model)(given, NOW)


def test_a_phase_without_a_pool_or_without_a_teacher_is_refused():
    spec = NoisyStudentSpec()
    with pytest.raises(RecipeError, match="needs images without labels"):
        spec.check(shown())
    with pytest.raises(RecipeError, match="needs a teacher for the images beside"):
        spec.check(shown(beside=Beside()))
    spec.check(shown(beside=Beside(labels=PseudoLabels())))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (NoisyStudentSpec, {"weight": -1.0}),
        (NoisyStudentSpec, {"hard_smoothing": 1.0}),
        (PseudoLabels, {"threshold": 1.5}),
        (PseudoLabels, {"per_class": 0}),
        (PseudoLabels, {"temperature": 0.0}),
        (PseudoLabels, {"teacher": ""}),
    ],
)
def test_values_out_of_range_are_refused(kind, values):
    (name,) = values
    with pytest.raises(RecipeError, match=f"{name}="):
        kind(**values)


def test_smoothing_of_labels_stays_theirs(model):
    hard = torch.arange(M) % K
    found = NoisyStudentSpec(loss=CrossEntropy(), hard_smoothing=0.0).build(model)(batch(hard), NOW)
    logits = model(batch(hard).images)
    assert_close(found.parts["labelled"], F.cross_entropy(logits, torch.arange(N) % K).detach())


@pytest.mark.parametrize("is_hard", [True, False])
def test_it_is_one_graph_for_the_compiler(model, is_hard):
    hard = torch.arange(M) % K
    given = batch(hard if is_hard else F.one_hot(hard, K).double())
    method = NoisyStudentSpec().build(model)
    plain = method(given, NOW).total
    compiled = torch.compile(method, backend="eager", fullgraph=True)
    assert_close(compiled(given, NOW).total, plain)
