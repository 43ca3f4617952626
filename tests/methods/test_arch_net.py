"""The distillation of an Arch-Net against a loop written down, and what must not change it."""

from dataclasses import replace

import pytest
import torch
from tests.models.drawn import randomise
from torch import nn
from torch.testing import assert_close

from vertebra.contracts import Batch, Progress
from vertebra.errors import RecipeError
from vertebra.methods.arch_net import Adapter, ArchNetDistillSpec
from vertebra.methods.guidance import Guidance, Teacher
from vertebra.models.arch_net import ArchNetSpec
from vertebra.models.arch_net_targets import outputs, parts
from vertebra.models.classifier import build_classifier
from vertebra.models.resnet import ResNetSpec

K, TARGETS = 4, 14
OF = ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125, stem_pool=None)
START = Progress(0, 1)
FLOAT = {"weight_bits": None, "activation_bits": None}


def teacher(of=OF, order=(2, 0, 3, 1), scale=0.5):
    torch.manual_seed(0)
    return Teacher(
        randomise(build_classifier(of, classes=K)),
        scale=torch.full((3, 1, 1), scale),
        shift=torch.zeros(3, 1, 1),
        order=torch.tensor(order),
    )


def student(**numbers):
    torch.manual_seed(1)
    return build_classifier(ArchNetSpec(of=OF, **numbers), classes=K)


def taught(spec=None, **numbers):
    """Returns the method in training, its adapters no longer at zero."""
    guidance = Guidance((teacher(),))
    method = (spec or ArchNetDistillSpec()).build(student(**numbers), guidance).train()
    torch.manual_seed(2)
    for adapter in method.adapters:
        for parameter in adapter.parameters():
            nn.init.normal_(parameter, std=0.1)
    return method


def batch(seed=3):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(6, 3, 32, 32, generator=generator)
    return Batch(images, torch.randint(K, (6,), generator=generator), torch.arange(6))


@pytest.mark.parametrize("targets", [1, 3, 5, TARGETS - 1, TARGETS])
def test_the_loss_is_the_weighted_sum_of_a_loop(targets):
    method = taught(ArchNetDistillSpec(targets=targets))
    (guide,) = method.teachers
    losses = method(batch(), START)
    total = 0.0
    with torch.no_grad():
        its = list(outputs(guide.model, batch().images * 0.5))
        mine = list(outputs(method.model, batch().images))
        for k in range(min(targets, TARGETS - 1)):
            gap = method.adapters[k](mine[k], its[k]) - its[k]
            total += 0.8 ** (targets - 1 - k) * gap.square().mean()
        assert_close(losses.parts["features"], total)
        if targets == TARGETS:
            theirs = its[-1][:, [2, 0, 3, 1]]
            pairs = zip(mine[-1], theirs, strict=True)
            missing = 1 - torch.stack([a @ b / a.norm() / b.norm() for a, b in pairs]).mean()
            total += missing
            assert_close(losses.parts["logits"], missing)
    assert_close(losses.total, total)
    assert ("logits" in losses.parts) == (targets == TARGETS)


def test_later_targets_weigh_more():
    method = taught(ArchNetDistillSpec(targets=3))
    assert [method.weight(k) for k in range(3)] == pytest.approx([0.64, 0.8, 1.0])


def test_labels_make_no_difference():
    one = batch()
    other = replace(one, targets=torch.full_like(one.targets, -7))
    assert torch.equal(taught()(one, START).total, taught()(other, START).total)
    assert not ArchNetDistillSpec().needs_labels


@pytest.mark.parametrize("targets", [1, 4, TARGETS])
def test_only_what_makes_the_targets_learns(targets):
    method = taught(ArchNetDistillSpec(targets=targets))
    before = {name: value.clone() for name, value in method.model.state_dict().items()}
    method(batch(), START).total.backward()
    reached = {id(p) for p in method.parameters() if p.grad is not None}
    trainable = {id(p) for p in method.parameters() if p.requires_grad}
    assert reached == trainable
    assert {id(p) for group in method.parameter_groups() for p in group.parameters} == trainable
    made = {id(p) for group in parts(method.model)[:targets] for m in group for p in m.parameters()}
    assert {id(p) for p in method.model.parameters() if p.requires_grad} == made
    for group in parts(method.model)[targets:]:
        for part in group:
            names = [
                f"{n}.{key}"
                for n, m in method.model.named_modules()
                if m is part
                for key in part.state_dict()
            ]  # batch statistics too
            now = method.model.state_dict()
            assert all(torch.equal(now[name], before[name]) for name in names)


def test_no_gradient_reaches_the_teacher_and_it_stays_as_it_is():
    method = taught()
    (guide,) = method.teachers
    before = {name: value.clone() for name, value in guide.state_dict().items()}
    method(batch(), START).total.backward()
    assert all(parameter.grad is None for parameter in guide.parameters())
    assert all(torch.equal(guide.state_dict()[name], value) for name, value in before.items())
    assert not any("teacher" in name for name in method.state_dict())


def test_adapters_are_no_part_of_what_is_deployed():
    method = taught()
    images = batch().images
    assert method.deployable().state_dict().keys() == student().state_dict().keys()
    before = method.eval().deployable()(images)
    del method.adapters
    assert torch.equal(method.deployable()(images), before)


def test_an_adapter_begins_by_passing_the_feature_on():
    mine, its = torch.randn(2, 48, 5, 5), torch.randn(2, 48, 5, 5)
    adapter = Adapter(48)
    assert torch.equal(adapter(mine, its), mine)
    assert adapter.gate[0].out_features == 2
    nn.init.normal_(adapter.residual[2].weight)
    assert not torch.equal(adapter(mine, its), adapter(mine, its + 1))


def test_a_floating_point_copy_begins_without_error_in_evaluation():
    of = replace(OF, form="C", stem_pool="conv")
    guide = teacher(of, order=range(K), scale=1.0)
    model = build_classifier(ArchNetSpec(of=of, **FLOAT), classes=K)
    method = ArchNetDistillSpec().build(model, Guidance((guide,))).eval()
    assert method(batch(), START).total < 1e-6


def test_a_later_phase_keeps_the_weights_that_it_is_given():
    guidance, model = Guidance((teacher(),)), student()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ArchNetDistillSpec(starts_from_teacher=False).build(model, guidance)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    ArchNetDistillSpec().build(model, guidance)
    assert not torch.equal(model.head.fc.weight, before["head.fc.weight"])


@pytest.mark.parametrize("levels", ["fixed", "learned"])
def test_steps_against_the_gradient_lower_the_loss(levels):
    method = taught(levels=levels)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3)
    found = []
    for _ in range(8):
        losses = method(batch(), START)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        found.append(float(losses.total.detach()))
    assert found[-1] < 0.9 * found[0]


def test_the_gradient_of_the_adapted_feature_agrees_with_finite_differences():
    torch.manual_seed(0)
    adapter = Adapter(3).double()
    nn.init.normal_(adapter.residual[2].weight)
    mine, its = (torch.randn(2, 3, 4, 4, dtype=torch.float64) for _ in range(2))
    assert torch.autograd.gradcheck(lambda x: adapter(x, its), (mine.requires_grad_(),))


def test_losses_are_in_full_precision_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = taught()(batch(), START)
    assert losses.total.dtype == torch.float32
    assert losses.total.isfinite()


def test_what_is_no_pair_is_refused():
    guide = Guidance((teacher(),))
    with pytest.raises(RecipeError, match=r"learns from one teacher and has 0; .* --teacher RUN"):
        ArchNetDistillSpec().build(student())
    with pytest.raises(RecipeError, match="learns from one teacher and has 2"):
        ArchNetDistillSpec().build(student(), Guidance((teacher(), teacher())))
    with pytest.raises(RecipeError, match="the student is a ResidualNet and has to be an Arch-Net"):
        ArchNetDistillSpec().build(build_classifier(OF, classes=K), guide)
    with pytest.raises(RecipeError, match="the teacher, a ResidualNet, is not what the Arch-Net"):
        ArchNetDistillSpec().build(student(), Guidance((teacher(replace(OF, form="D")),)))
    with pytest.raises(RecipeError, match=f"targets=15 and the Arch-Net has {TARGETS}"):
        ArchNetDistillSpec(targets=15).build(student(), guide)


@pytest.mark.parametrize(("field", "value"), [("targets", 0), ("decay", 0.0), ("decay", 1.1)])
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(RecipeError, match=f"{field}={value}; give"):
        ArchNetDistillSpec(**{field: value})
