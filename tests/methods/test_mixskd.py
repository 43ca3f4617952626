"""MixSKD against plain loops, closed forms and the identities of a mixture."""

import pytest
import torch
from tests.methods.pyramid import START, K, N, Pyramid, classifier, drawn, pyramid
from tests.models.drawn import randomise
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.methods import mixskd
from vertebra.methods.mixskd import MixSKD, MixSKDSpec, Pairing, Weights
from vertebra.methods.mixskd_branches import BranchSpec
from vertebra.models.residual_blocks import Bottleneck


def linear(method: MixSKD) -> MixSKD:
    """Takes norms and activations out of the branches."""
    for part in method.branches.modules():
        if isinstance(part, ConvNorm):
            part.norm, part.act = nn.Identity(), nn.Identity()
        elif isinstance(part, Bottleneck):
            part.act = nn.Identity()
    return method


def pairs(monkeypatch: pytest.MonkeyPatch, share: float, partner: list[int] | None = None) -> None:
    """Makes every pairing this one."""
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    fixed = order if partner is None else torch.tensor(partner)
    made = Pairing(torch.tensor(share, dtype=torch.float64), fixed)
    monkeypatch.setattr(mixskd, "_draw", lambda samples, mixup, device: made)


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Returns the softened divergence, one image and class at a time."""
    found = torch.zeros((), dtype=student.dtype)
    for s, t in zip(student / temperature, teacher / temperature, strict=True):
        p, q = t.softmax(0), s.softmax(0)
        for k in range(K):
            found = found + p[k] * (p[k] / q[k]).log()
    return temperature**2 * found / len(student)


def test_each_sample_is_mixed_with_its_partner_by_the_same_share():
    mixed = Pairing(torch.tensor(0.25), torch.tensor([1, 2, 0])).mix(torch.eye(3))
    assert_close(mixed, torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.25, 0.75], [0.75, 0.0, 0.25]]))


def test_the_loss_of_mixed_labels_is_that_of_mixed_targets():
    pairing = Pairing(torch.tensor(0.3), torch.tensor([2, 0, 1]))
    logits, targets = torch.randn(3, K), torch.tensor([3, 1, 0])
    soft = pairing.mix(F.one_hot(targets, K).float())
    assert_close(pairing.cross_entropy(logits, targets), F.cross_entropy(logits, soft))


def test_shares_follow_the_beta_distribution_and_partners_are_a_permutation():
    torch.manual_seed(0)
    made = [mixskd._draw(N, 0.4, torch.device("cpu")) for _ in range(1000)]
    shares = torch.stack([each.share for each in made])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.04)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.1)
    assert all(sorted(each.partner.tolist()) == list(range(N)) for each in made)


def test_draws_depend_on_torchs_seed_alone():
    method, batch = pyramid(4, 8), drawn()

    def total(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return method(batch, START).total

    assert torch.equal(total(3), total(3))
    assert not torch.equal(total(3), total(4))


def test_every_part_is_what_a_plain_loop_finds(monkeypatch):
    """Two passes in place of one, each image mixed by hand, each branch by itself."""
    share, partner, heat = 0.3, [2, 0, 1, 5, 3, 4], 3.0
    pairs(monkeypatch, share, partner)
    method, batch = pyramid(2, 4, 8), drawn()
    x, y = batch.images, batch.targets
    mixture = torch.stack([share * x[n] + (1 - share) * x[partner[n]] for n in range(N)])

    def mix(value: Tensor) -> Tensor:
        return share * value + (1 - share) * value[partner]

    def mixed_cost(logits: Tensor) -> Tensor:
        both = F.cross_entropy(logits, y), F.cross_entropy(logits, y[partner])
        return share * both[0] + (1 - share) * both[1]

    plain, seen = method.look(x), method.look(mixture)
    made_features, made_logits = [[*map(mix, each)] for each in plain]
    from_made = method.self_teacher(made_features)
    from_seen = method.self_teacher(seen.features)
    wanted = {
        "labels": sum(F.cross_entropy(each, y) for each in plain.logits),
        "mixed_labels": sum(map(mixed_cost, (*seen.logits, from_made, from_seen))),
        "agreement": kl(made_logits[2], from_seen, heat)
        + kl(seen.logits[2], from_made, heat)
        + sum(kl(made_logits[k], seen.logits[k], heat) for k in range(2))
        + sum(kl(seen.logits[k], made_logits[k], heat) for k in range(2)),
        "features": sum(
            ((a - b) ** 2).mean() for a, b in zip(made_features, seen.features, strict=True)
        ),
    }
    total, parts = method(batch, START)
    assert dict(parts) == {name: pytest.approx(part.item()) for name, part in wanted.items()}
    assert_close(total, sum(wanted.values()))
    assert not any(part.requires_grad for part in parts.values())


def test_weights_multiply_their_parts(monkeypatch):
    pairs(monkeypatch, 0.4)
    weights = Weights(labels=2, mixed_labels=0, agreement=0.5, features=3, adversary=4)
    total, parts = pyramid(4, 8, weights=weights, adversarial=True)(drawn(), START)
    wanted = 2 * parts["labels"] + 0.5 * parts["agreement"] + 3 * parts["features"]
    assert_close(total, wanted + 4 * parts["adversary"])


@pytest.mark.parametrize(
    ("share", "partner"), [(1.0, None), (0.3, [*range(N)])], ids=["all of it", "with itself"]
)
def test_an_image_that_is_mixed_with_nothing_else_agrees_with_itself(monkeypatch, share, partner):
    """Then only the self-teacher has something to say to the model's own head."""
    pairs(monkeypatch, share, partner)
    method, batch = pyramid(2, 4, 8), drawn()
    parts = method(batch, START).parts
    sight = method.look(batch.images)
    answer = method.self_teacher(sight.features)
    assert parts["features"].item() == pytest.approx(0, abs=1e-20)
    assert_close(parts["agreement"], 2 * kl(sight.logits[-1], answer, 3.0))
    twice = 2 * F.cross_entropy(answer, batch.targets)
    assert_close(parts["mixed_labels"], parts["labels"] + twice)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_of_a_linear_network_the_mixture_of_all_is_that_of_the_mixture(monkeypatch, share):
    """So features agree and so do branches, whatever the share."""
    pairs(monkeypatch, share)
    method, batch = linear(pyramid(2, 4, 8)), drawn()
    parts = method(batch, START).parts
    assert parts["features"].item() == pytest.approx(0, abs=1e-20)
    mixed = method.look(mixskd._draw(N, 1.0, batch.images.device).mix(batch.images))
    answer = method.self_teacher(mixed.features)
    assert_close(parts["agreement"], 2 * kl(mixed.logits[-1], answer, 3.0))


def test_agreement_pulls_a_student_towards_its_teacher_and_leaves_the_teacher_alone():
    """The gradient of the softened divergence is T (softmax(s / T) - softmax(t / T)) / N."""
    method, heat = pyramid(8), 3.0
    made, seen, from_made, from_seen = (
        torch.randn(N, K, dtype=torch.float64, requires_grad=True) for _ in range(4)
    )
    sights = mixskd.Sight([], [made]), mixskd.Sight([], [seen])
    loss = method._agreement(*sights, from_made, from_seen)
    loss.backward()
    assert from_made.grad is None
    assert from_seen.grad is None
    for student, teacher in ((made, from_seen), (seen, from_made)):
        gap = (student / heat).softmax(1) - (teacher / heat).softmax(1)
        assert_close(student.grad, heat * gap / N)


def test_branches_teach_each_other_with_their_answers_held_still():
    method, heat = pyramid(4, 8), 3.0
    logits = [torch.randn(N, K, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    own = torch.zeros(N, K, dtype=torch.float64)  # agrees with its teacher, whatever that is
    sights = [mixskd.Sight([], [each, own]) for each in logits]
    loss = method._agreement(*sights, own, own)
    loss.backward()
    assert_close(loss, kl(*logits, heat) + kl(logits[1], logits[0], heat))
    gap = (logits[0] / heat).softmax(1) - (logits[1] / heat).softmax(1)
    assert_close(logits[0].grad, heat * gap / N)
    assert_close(logits[1].grad, -heat * gap / N)


def test_agreement_is_nothing_exactly_where_answers_differ_by_a_constant():
    method = pyramid(8)
    z = torch.randn(N, K, dtype=torch.float64)
    sight = mixskd.Sight([], [z])
    assert method._agreement(sight, sight, z + 5, z - 1).item() == pytest.approx(0, abs=1e-12)
    assert method._agreement(sight, sight, z.flip(1), z).item() > 0


def test_gradients_agree_with_finite_differences(monkeypatch):
    """Of all parts but agreement, whose teachers are held still."""
    pairs(monkeypatch, 0.3)
    method, batch = pyramid(2, 4, weights=Weights(agreement=0)), drawn()
    randomise(method)  # no activation may sit on its kink
    method(batch, START).total.backward()
    for name, value in method.named_parameters():
        place = (0,) * value.ndim
        with torch.no_grad():
            ends = []
            for step in (1e-6, -2e-6):
                value[place] += step
                ends.append(method(batch, START).total)
            value[place] += 1e-6
        assert value.grad is not None, name
        assert_close(value.grad[place], (ends[0] - ends[1]) / 2e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("adversarial", [False, True])
def test_every_parameter_gets_a_gradient_and_is_learnt_once(adversarial):
    method = pyramid(2, 4, 8, adversarial=adversarial).train()
    method(drawn(), START).total.backward()
    assert [n for n, p in method.named_parameters() if p.grad is None or not p.grad.any()] == []
    learnt = [id(each) for group in method.parameter_groups() for each in group.parameters]
    assert sorted(learnt) == sorted(map(id, method.parameters()))


def test_the_self_teacher_learns_from_mixed_labels_and_from_nothing_else():
    for weights in (Weights(mixed_labels=0), Weights(labels=0, agreement=0, features=0)):
        method = pyramid(4, 8, weights=weights)
        method(drawn(), START).total.backward()
        found = [bool(each.grad.any()) for each in method.self_teacher.parameters()]
        assert found == [weights.mixed_labels > 0] * 3


def test_discriminators_learn_and_are_saved_only_where_they_are_asked_for():
    plain, adversarial = pyramid(4, 8), pyramid(4, 8, adversarial=True)
    extra = set(adversarial.state_dict()) - set(plain.state_dict())
    assert len(extra) == 2 * 4
    assert all(name.startswith("discriminators.") for name in extra)
    assert "adversary" not in plain(drawn(), START).parts


def test_a_discriminator_that_cannot_tell_pays_the_logarithm_of_two(monkeypatch):
    pairs(monkeypatch, 1.0)  # nothing is mixed, so that there is nothing to tell
    method = pyramid(4, 8, adversarial=True)
    for judge in method.discriminators:
        nn.init.zeros_(judge.outer.weight)
        nn.init.zeros_(judge.outer.bias)
    found = method(drawn(), START).parts["adversary"]
    assert_close(found, 2 * torch.tensor(2.0, dtype=torch.float64).log())


def test_the_model_alone_is_deployed_and_answers_with_its_own_head():
    model = classifier(Pyramid(2, 4, 8)).double().eval()
    before = set(model.state_dict())
    method = MixSKDSpec(adversarial=True).build(model).double().eval()
    deployed = method.deployable()
    assert deployed is model
    assert set(deployed.state_dict()) == before
    images = drawn().images
    assert_close(method.look(images).logits[-1], deployed(images))
    assert sum(p.numel() for p in method.parameters()) > sum(p.numel() for p in model.parameters())


def test_evaluation_changes_nothing_and_training_only_batch_statistics():
    method, batch = pyramid(4, 8), drawn()
    for mode, moving in ((False, set[str]()), (True, {"running_mean", "running_var"})):
        before = {name: value.clone() for name, value in method.state_dict().items()}
        method.train(mode)(batch, START)
        after = method.state_dict()
        moved = {n.split(".")[-1] for n, value in before.items() if not value.equal(after[n])}
        assert moved - {"num_batches_tracked"} == moving


@pytest.mark.slow
def test_compiled_it_draws_anew_in_each_step_and_finds_the_same():
    method, batch = pyramid(4, 8, adversarial=True), drawn()
    wanted = []
    for seed in range(3):
        torch.manual_seed(seed)
        wanted.append(method(batch, START).total)
    method.compile(backend="eager", fullgraph=True)
    for seed, each in enumerate(wanted):
        torch.manual_seed(seed)
        assert_close(method(batch, START).total, each)


def test_soft_targets_are_refused():
    batch = drawn()
    soft = Batch(batch.images, torch.full((N, K), 1 / K), batch.index)
    with pytest.raises(RecipeError, match=r"targets of shape \[6, 4\]; mixskd mixes images itself"):
        pyramid(4, 8)(soft, START)


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        (MixSKDSpec, {"mixup": 0.0}, r"mixup=0\.0; give a number above 0"),
        (MixSKDSpec, {"temperature": -1.0}, r"temperature=-1\.0; give a number above 0"),
        (Weights, {"features": -1.0}, r"features=-1\.0.*give finite numbers, zero or more"),
        (BranchSpec, {"units": 0}, "units=0; give at least 1"),
        (BranchSpec, {"inner": 1.5}, r"inner=1\.5; give a share above 0, at most 1"),
    ],
)
def test_a_value_out_of_range_is_refused(kind, settings, told):
    with pytest.raises(RecipeError, match=told):
        kind(**settings)
