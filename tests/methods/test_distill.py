"""Distillation: the loss against closed forms; a teacher that sees what it should, unchanged."""

import pytest
import torch
from tests.methods.shown import shown
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch, Progress
from vertebra.data.augment import Augment
from vertebra.data.mixing import Mixing
from vertebra.errors import RecipeError
from vertebra.methods.distill import Distill, DistillSpec, agreement, divergence
from vertebra.methods.guidance import Guidance, Teacher
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy

N, K = 6, 4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Returns logits or images in double precision."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * 3


class Sighted(nn.Module):
    """A small network with batch statistics that keeps what it was shown."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.norm = nn.BatchNorm2d(3)
        self.linear = nn.Linear(3, K)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach())
        return self.linear(self.norm(images).mean((2, 3)))


def teacher(seed: int = 1, *, image_size: int | None = None) -> Teacher:
    ones, zeros = torch.ones(3, 1, 1), torch.zeros(3, 1, 1)
    order = torch.arange(K)
    return Teacher(Sighted(seed), scale=ones, shift=zeros, order=order, image_size=image_size)


def batch(size: int = 4, *views: Tensor) -> Batch:
    images = drawn(N, 3, size, size).float()
    return Batch(images, torch.arange(N) % K, torch.arange(N), views=views)


def taught(spec: DistillSpec | None = None, *teachers: Teacher, seed: int = 0) -> Distill:
    """Returns a student with its own network and the teachers."""
    spec = spec or DistillSpec()
    return spec.build(Sighted(seed), Guidance(teachers or (teacher(),)))


def total(method: Distill, given: Batch) -> Tensor:
    return method(given, Progress(0, 1)).total


def test_the_divergence_is_that_of_a_plain_loop():
    answers, logits = drawn(N, K), drawn(N, K, seed=1)
    for temperature in (0.5, 1.0, 8.0):
        p, q = (each.div(temperature).softmax(1) for each in (answers, logits))
        loop = sum(
            float(p[n, k]) * float((p[n, k] / q[n, k]).log()) for n in range(N) for k in range(K)
        )
        found = divergence(answers, logits, temperature)
        assert_close(found, torch.tensor(loop / N, dtype=torch.float64))


def test_the_divergence_is_zero_exactly_where_logits_differ_by_a_constant_an_image():
    logits = drawn(N, K)
    assert_close(divergence(logits + drawn(N, 1, seed=2), logits, 3.0), torch.zeros(()).double())
    assert divergence(logits * 1.1, logits, 3.0) > 1e-3


@pytest.mark.parametrize("temperature", [1.0, 3.0, 20.0])
def test_the_gradient_is_the_difference_of_probabilities(temperature):
    """T (softmax(s / T) - softmax(t / T)) / N with the square, 1 / T of it without."""
    answers, logits = drawn(N, K), drawn(N, K, seed=1).requires_grad_()
    loss = temperature**2 * divergence(answers, logits, temperature)
    (found,) = torch.autograd.grad(loss, logits)
    student, target = ((each / temperature).softmax(1) for each in (logits, answers))
    assert_close(found, temperature * (student - target) / N)


def test_at_a_high_temperature_centred_logits_are_matched():
    answers, logits = drawn(N, K), drawn(N, K, seed=1).requires_grad_()
    loss = 1e4**2 * divergence(answers, logits, 1e4)
    (found,) = torch.autograd.grad(loss, logits)
    centred = [each - each.mean(1, keepdim=True) for each in (logits, answers)]
    assert_close(found, (centred[0] - centred[1]) / (N * K), atol=1e-4, rtol=1e-3)


def test_the_gradient_agrees_with_finite_differences():
    answers, logits = drawn(N, K), drawn(N, K, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: divergence(answers, x, 2.0), (logits,))


def test_cross_entropy_with_the_teachers_probabilities_has_the_same_gradient():
    answers, logits = drawn(N, K), drawn(N, K, seed=1).requires_grad_()
    ours = torch.autograd.grad(divergence(answers, logits, 1.0), logits)[0]
    theirs = torch.autograd.grad(F.cross_entropy(logits, answers.softmax(1)), logits)[0]
    assert_close(ours, theirs)


def test_losses_of_several_teachers_match_the_mean_of_their_probabilities():
    answers, logits = drawn(3, N, K), drawn(N, K, seed=1).requires_grad_()
    assert_close(
        divergence(answers, logits, 2.0), vmap(lambda each: divergence(each, logits, 2.0))(answers)
    )
    (summed,) = torch.autograd.grad(divergence(answers, logits, 1.0).sum(), logits)
    mean = answers.softmax(-1).mean(0).log()
    (once,) = torch.autograd.grad(divergence(mean, logits, 1.0), logits)
    assert_close(summed, 3 * once)


def test_agreement_counts_the_images_with_the_same_first_class():
    logits = F.one_hot(torch.tensor([0, 1, 2, 3])).float()
    answers = F.one_hot(torch.tensor([0, 1, 2, 0]), K).float()
    assert agreement(answers[None], logits) == 0.75
    # of two teachers the surer one is followed
    assert agreement(torch.stack([logits * 0.1, answers * 9]), logits) == 0.75


def test_the_total_is_made_of_its_parts():
    spec = DistillSpec(temperature=5.0, hard_weight=0.3, loss=CrossEntropy(smoothing=0.1))
    method, given = taught(spec), batch()
    losses = method(given, Progress(0, 1))
    assert list(losses.parts) == ["KL", "agreement", "CrossEntropy"]
    expected = 0.7 * 25 * losses.parts["KL"] + 0.3 * losses.parts["CrossEntropy"]
    assert_close(losses.total, expected)
    assert not any(part.requires_grad for part in losses.parts.values())
    with torch.no_grad():
        by_hand = spec.loss.loss(method.model(given.images), given.targets)
    assert_close(losses.parts["CrossEntropy"], by_hand)


def test_without_the_square_and_with_the_mean_the_loss_is_a_known_share():
    teachers = teacher(1), teacher(2)
    plain = total(taught(DistillSpec(temperature=8.0), *teachers), batch())
    unscaled = DistillSpec(temperature=8.0, scales_by_square=False)
    assert_close(total(taught(unscaled, *teachers), batch()) * 64, plain)
    mean = DistillSpec(temperature=8.0, sums_teachers=False)
    assert_close(total(taught(mean, *teachers), batch()) * 2, plain)


def test_labels_have_no_say_unless_they_have_a_share():
    given = batch()
    soft = Batch(given.images, torch.rand(N, K).softmax(1), given.index)
    assert total(taught(), given) == total(taught(), soft)
    assert not DistillSpec().needs_labels
    spec = DistillSpec(hard_weight=0.5, loss=BinaryCrossEntropy())
    assert spec.needs_labels
    assert total(taught(spec), given) != total(taught(spec), soft)


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
    method = taught(DistillSpec(temperature=3.0), teacher(0), seed=0)
    method.eval()
    losses = method(batch(), Progress(0, 1))
    losses.total.backward()
    assert losses.parts["agreement"] == 1
    assert_close(losses.total, torch.tensor(0.0), atol=1e-6, rtol=0)
    for each in method.parameters():
        assert_close(each.grad, torch.zeros_like(each), atol=1e-6, rtol=0)


def test_the_teacher_sees_the_very_tensor_that_the_student_sees():
    guide = teacher()
    method, given = taught(None, guide), batch()
    total(method, given)
    assert torch.equal(guide.model.seen[0], method.model.seen[0])
    assert torch.equal(guide.model.seen[0], given.images)


def test_each_teacher_sees_the_version_in_its_own_size():
    small, large, other = teacher(1, image_size=4), teacher(2, image_size=8), teacher(3)
    other.image_size = 99
    view = drawn(N, 3, 8, 8, seed=5).float()
    given = batch(4, view)
    total(taught(None, small, large, other), given)
    assert torch.equal(small.model.seen[0], given.images)
    assert torch.equal(large.model.seen[0], view)
    assert torch.equal(other.model.seen[0], given.images)


def test_the_teacher_stays_as_it_is_and_is_no_part_of_the_method():
    guide = teacher()
    before = {name: value.clone() for name, value in guide.state_dict().items()}
    method = taught(None, guide)
    method.train()
    optimizer = torch.optim.SGD(method.parameters(), lr=1.0)
    for _ in range(3):
        total(method, batch()).backward()
        optimizer.step()
    assert not guide.train().model.norm.training
    assert all(torch.equal(before[name], value) for name, value in guide.state_dict().items())
    assert all(each.grad is None for each in guide.parameters())
    assert {name.split(".")[0] for name in method.state_dict()} == {"model"}
    assert method.deployable() is method.model


def test_a_fixed_teacher_is_not_asked_again_but_looked_up_by_image():
    guide = teacher()
    answers = drawn(1, 20, K).float()
    method = DistillSpec(is_consistent=False).build(Sighted(), Guidance((guide,), answers))
    given = Batch(batch().images, torch.zeros(N).long(), torch.tensor([19, 3, 3, 0, 7, 11]))
    with torch.no_grad():
        expected = divergence(answers[:, given.index], method.model(given.images), 1.0).sum()
    assert_close(total(method, given).detach(), expected)
    assert guide.model.seen == []
    assert "answers" not in method.state_dict()


def test_a_teacher_that_sees_what_the_student_sees_is_asked_whatever_was_answered_before():
    guide = teacher()
    method = DistillSpec().build(Sighted(), Guidance((guide,), torch.zeros(1, N, K)))
    total(method, batch())
    assert len(guide.model.seen) == 1


def test_half_precision_gives_a_full_precision_loss():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert total(taught(), batch()).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DistillSpec(temperature=0.0), r"temperature=0\.0; give a number above 0"),
        (lambda: DistillSpec(hard_weight=1.0), r"hard_weight=1\.0; give a share in \[0, 1\)"),
        (lambda: DistillSpec().build(Sighted()), "no teacher to ask"),
        (
            lambda: DistillSpec(is_consistent=False).build(Sighted(), Guidance((teacher(),))),
            "no teacher to ask",
        ),
        (
            lambda: DistillSpec(is_consistent=False).check(
                shown(augment=Augment(mixing=Mixing(mixup=1.0)))
            ),
            "set data.augment.mixing to null",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(RecipeError, match=message):
        make()
