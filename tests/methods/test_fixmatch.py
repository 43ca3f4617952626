"""FixMatch against a plain loop; what it is not sure of, and its plain views, get no gradient."""

import pytest
import torch
from tests.methods.shown import shown
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch, Progress
from vertebra.data.beside import Beside, PseudoLabels
from vertebra.data.views import View
from vertebra.errors import RecipeError
from vertebra.methods.fixmatch import FixMatchSpec, agree

N, M, K = 4, 8, 5
NOW = Progress(0, 1)


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def given() -> Batch:
    plain, strong = drawn(M, 3, 4, 4, seed=2), drawn(M, 3, 4, 4, seed=3)
    others = Batch(plain, torch.zeros(M, dtype=torch.int64), torch.arange(M), views=(strong,))
    return Batch(drawn(N, 3, 4, 4, seed=1), torch.arange(N), torch.arange(N), unlabelled=others)


@pytest.fixture
def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, K)).double()


def test_agreement_is_that_of_a_plain_loop():
    plain, strong = 3 * drawn(M, K, seed=0), drawn(M, K, seed=1)
    total, sure = 0.0, 0
    for one, other in zip(plain.softmax(1), strong.log_softmax(1), strict=True):
        if one.max() >= 0.8:
            sure += 1
            total -= float(other[one.argmax()])
    found = agree(plain, strong, threshold=0.8)
    assert 0 < sure < M
    assert_close(found[0], torch.tensor(total / M, dtype=torch.float64))
    assert found[1] == sure / M


def test_the_loss_is_the_sum_of_its_parts(model, given):
    method = FixMatchSpec(threshold=0.3, weight=2.0).build(model)
    total, parts = method(given, NOW)
    assert_close(total.detach(), parts["labelled"] + 2 * parts["agreement"])
    labelled = F.cross_entropy(model(given.images), given.targets)
    assert_close(parts["labelled"], labelled.detach())
    others = given.unlabelled
    agreement, sure = agree(model(others.images), model(others.views[0]), threshold=0.3)
    assert_close(parts["agreement"], agreement.detach())
    assert parts["sure"] == sure
    assert 0 < sure < 1


def test_no_gradient_flows_into_what_is_believed():
    plain, strong = drawn(M, K, seed=0).requires_grad_(), drawn(M, K, seed=1).requires_grad_()
    loss, _ = agree(plain, strong, threshold=0.0)
    found = torch.autograd.grad(loss, [plain, strong], allow_unused=True)
    assert found[0] is None
    guesses = F.one_hot(plain.argmax(1), K)
    assert_close(found[1], (strong.softmax(1) - guesses).detach() / M)


def test_an_image_that_it_is_not_sure_of_moves_nothing():
    plain = torch.tensor([[9.0, 0.0], [0.1, 0.0]])
    strong = torch.zeros(2, 2, requires_grad=True)
    loss, sure = agree(plain, strong, threshold=0.95)
    (found,) = torch.autograd.grad(loss, [strong])
    assert sure == 0.5
    assert found[0].any()
    assert not found[1].any()


def test_at_a_threshold_of_one_only_labels_are_learnt_from(model, given):
    method = FixMatchSpec(threshold=1.0).build(model)
    total, parts = method(given, NOW)
    assert parts["sure"] == 0
    assert_close(total.detach(), parts["labelled"])
    plain = F.cross_entropy(model(given.images), given.targets)
    weights = [*model.parameters()]
    pairs = zip(
        torch.autograd.grad(total, weights), torch.autograd.grad(plain, weights), strict=True
    )
    for ours, theirs in pairs:
        assert_close(ours, theirs)


def test_all_three_pass_at_once(given):
    norm = nn.BatchNorm2d(3, momentum=1.0).double()
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(48, K).double())
    FixMatchSpec().build(model)(given, NOW)
    others = given.unlabelled
    together = torch.cat((given.images, others.images, others.views[0]))
    assert norm.num_batches_tracked == 1
    assert_close(norm.running_mean, together.mean((0, 2, 3)))


def test_half_precision_logits_are_judged_in_full(given):
    plain, strong = (3 * drawn(M, K, seed=seed) for seed in (0, 1))
    half = agree(plain.bfloat16(), strong.bfloat16(), threshold=0.5)
    assert half[0].dtype == torch.float32
    assert_close(
        half[0], agree(plain.bfloat16().float(), strong.bfloat16().float(), threshold=0.5)[0]
    )


def test_the_model_is_what_is_deployed(model):
    assert FixMatchSpec().build(model).deployable() is model


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        (None, "needs images without labels"),
        (Beside(), "has 0 further ones; give one view"),
        (Beside(views=(View(), View())), "has 2 further ones; give one view"),
        (Beside(views=(View(image_size=8),)), "with no image_size"),
        (Beside(views=(View(),), labels=PseudoLabels()), "labels the images beside itself"),
    ],
)
def test_a_phase_that_does_not_give_two_versions_is_refused(beside, message):
    with pytest.raises(RecipeError, match=message):
        FixMatchSpec().check(shown(beside=beside))


@pytest.mark.parametrize("values", [{"threshold": 1.1}, {"weight": -1.0}])
def test_values_out_of_range_are_refused(values):
    (name,) = values
    with pytest.raises(RecipeError, match=f"{name}="):
        FixMatchSpec(**values)


def test_it_is_one_graph_for_the_compiler(model, given):
    method = FixMatchSpec(threshold=0.3).build(model)
    plain = method(given, NOW).total
    compiled = torch.compile(method, backend="eager", fullgraph=True)
    assert_close(compiled(given, NOW).total, plain)
