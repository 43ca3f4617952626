"""Which levels of a network learn, and at what rate; frozen ones stay as they are to the bit."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vertebra.contracts import Batch, Losses, Method, Progress
from vertebra.engine.averaging import Averaging
from vertebra.engine.evaluate import evaluate
from vertebra.engine.execution import Execution
from vertebra.engine.loop import Training, train
from vertebra.engine.optimizers import LARS, SGD, AdamW
from vertebra.engine.schedules import Constant
from vertebra.errors import RecipeError
from vertebra.methods.fine_tuning import FineTuning, backbone_of
from vertebra.methods.supervised import SupervisedSpec
from vertebra.models.bit import BiTSpec
from vertebra.models.classifier import build_classifier
from vertebra.models.ensemble import EnsembleSpec
from vertebra.models.resnet import ResNetSpec
from vertebra.tasks.classify import ClassificationMetric

CPU = torch.device("cpu")
SPEC = ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125, stochastic_depth=0.5)
LEVELS = 5


class Two(Method):
    """Learns a network and a projector of its own on the vector."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.projector = nn.Linear(model.backbone.width, 2)

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        vector = self.model.backbone(batch.images).vector
        return Losses(self.projector(vector).square().mean() + self.model.head(vector).mean(), {})

    def deployable(self) -> nn.Module:
        return self.model


def model():
    torch.manual_seed(0)
    return build_classifier(SPEC, classes=3)


def batches(count: int) -> list[Batch]:
    draw = torch.Generator().manual_seed(1)
    images = torch.randn(count, 6, 3, 32, 32, generator=draw)
    return [Batch(each, torch.tensor([0, 1, 2] * 2), torch.arange(6)) for each in images]


def trained(tuning: FineTuning, *, steps: int = 2, average=None, **changes) -> Training:
    """Returns a training that has made its updates, the same ones each time."""
    method = SupervisedSpec().build(model())
    tuning.freeze(method)
    training = Training(
        method=method,
        optimizer=SGD(lr=0.1).build(tuning.parameter_groups(method), CPU),
        schedule=Constant(),
        lr=0.1,
        steps=steps,
        steps_per_epoch=4,
        device=CPU,
        average=average.build(method.deployable()) if average else None,
        **changes,
    )
    train(training, batches(steps * training.accumulate), observers=[])
    return training


@pytest.mark.parametrize("make", [SupervisedSpec().build, Two])
def test_the_rate_decays_from_the_head_to_the_image(make):
    method = make(model())
    groups = FineTuning(rate_decay=0.5).parameter_groups(method)
    scales = {id(each): group.lr_scale for group in groups for each in group.parameters}
    levels = method.model.backbone.levels()
    assert len(levels) == LEVELS
    for place, level in enumerate(levels):
        assert {scales[id(each)] for each in level.parameters()} == {0.5 ** (LEVELS - place)}
    beyond = {id(each) for level in levels for each in level.parameters()} ^ scales.keys()
    assert {scales[each] for each in beyond} == {1.0}
    assert beyond == {id(p) for name, p in method.named_parameters() if "backbone" not in name}


def test_every_parameter_is_in_one_group_and_decays_as_the_method_says():
    method = Two(model())
    groups = FineTuning(rate_decay=0.5).parameter_groups(method)
    grouped = [id(each) for group in groups for each in group.parameters]
    assert sorted(grouped) == sorted(id(each) for each in method.parameters())
    plain = {
        id(each): group.decays for group in method.parameter_groups() for each in group.parameters
    }
    assert {id(p): group.decays for group in groups for p in group.parameters} == plain
    names = [group.name for group in groups]
    assert len(set(names)) == len(names) == 2 * (LEVELS + 1)
    assert names[0] == "weights, level 1 of 5"


def test_one_rate_for_all_is_the_methods_own_groups():
    method = SupervisedSpec().build(model())
    for ours, plain in zip(
        FineTuning(frozen_levels=0).parameter_groups(method), method.parameter_groups(), strict=True
    ):
        assert (ours.name, ours.lr_scale) == (plain.name, 1.0)


@pytest.mark.parametrize("spec", [SGD(lr=0.1), AdamW(lr=0.1), LARS(lr=0.1)])
def test_an_optimizer_gives_each_level_its_rate(spec):
    method = SupervisedSpec().build(model())
    optimizer = spec.build(FineTuning(rate_decay=0.5).parameter_groups(method), CPU)
    rates = {round(group["lr"], 9) for group in optimizer.param_groups}
    assert rates == {round(0.1 * 0.5**n, 9) for n in range(LEVELS + 1)}


def test_a_first_update_moves_each_level_by_its_share_of_the_rate():
    plain, decayed = (trained(FineTuning(rate_decay=rate), steps=1) for rate in (1.0, 0.5))
    before = model()
    start, whole, part = (
        each.backbone.levels() for each in (before, plain.method.model, decayed.method.model)
    )
    for place in range(LEVELS):
        moves = [
            torch.cat([(b - a).flatten() for a, b in zip(x.parameters(), y.parameters())])  # noqa: B905
            for x, y in ((start[place], whole[place]), (start[place], part[place]))
        ]
        assert_close(moves[1], moves[0] * 0.5 ** (LEVELS - place), atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [{}, {"accumulate": 2}, {"average": Averaging(decay=0.5)}, {"clip_norm": 0.1}],
    ids=lambda each: "".join(each) or "plain",
)
def test_frozen_levels_stay_as_they_are_with_their_statistics_and_the_rest_learns(changes):
    training = trained(FineTuning(frozen_levels=2), **changes)
    start = model().backbone.levels()
    for found in (training.method.deployable(), training.deployable()):
        for place, (level, before) in enumerate(zip(found.backbone.levels(), start, strict=True)):
            state, earlier = level.state_dict(), before.state_dict()
            same = [torch.equal(state[name], earlier[name]) for name in state]
            assert all(same) is (place < 2)


def test_frozen_levels_take_no_memory_for_gradients_or_moments():
    training = trained(FineTuning(frozen_levels=3))
    method = training.method
    held = [p for group in training.optimizer.param_groups for p in group["params"]]
    trainable = [p for p in method.parameters() if p.requires_grad]
    assert {id(p) for p in held} == {id(p) for p in trainable}
    for level in method.model.backbone.levels()[:3]:
        assert all(p.grad is None and not p.requires_grad for p in level.parameters())
    before_the_rest = []
    fourth = method.model.backbone.levels()[3]
    fourth.register_forward_pre_hook(lambda _, given: before_the_rest.append(given[0]))
    method(batches(1)[0], Progress(0, 1))
    assert before_the_rest[0].grad_fn is None, "nothing is kept for a way back through them"


def test_frozen_levels_stay_in_evaluation_mode_whoever_asks_for_training():
    method = SupervisedSpec().build(model())
    FineTuning(frozen_levels=2).freeze(method)
    levels = method.model.backbone.levels()

    def modes():
        return [{module.training for module in level.modules()} for level in levels]

    expected = [{False}] * 2 + [{True}] * 3
    assert modes() == expected
    method.eval().train()
    assert modes() == expected
    metric = ClassificationMetric(3)
    evaluate(method.model, batches(1), metric, device=CPU, execution=Execution())
    assert modes() == expected
    copied = copy.deepcopy(method).train().model.backbone.levels()
    assert [level.training for level in copied] == [False, False, True, True, True]


def test_freezing_leaves_names_and_what_is_saved_alone():
    frozen = model()
    frozen.backbone.freeze(3)
    assert frozen.state_dict().keys() == model().state_dict().keys()


def test_all_levels_may_be_frozen_and_the_head_learns_alone():
    training = trained(FineTuning(frozen_levels=LEVELS, rate_decay=0.5))
    names = [group["name"] for group in training.optimizer.param_groups]
    assert names == ["weights, beyond the levels", "norms and biases, beyond the levels"]
    assert not torch.equal(training.method.model.head.fc.weight, model().head.fc.weight)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rate_decay": 0.0}, r"rate_decay=0\.0; give a share above 0, at most 1"),
        ({"rate_decay": 1.1}, r"rate_decay=1\.1; give a share"),
        ({"frozen_levels": -1}, "frozen_levels=-1; give zero or more"),
    ],
)
def test_values_out_of_range_are_refused(values, told):
    with pytest.raises(RecipeError, match=told):
        FineTuning(**values)


def test_more_levels_than_there_are_cannot_be_frozen():
    method = SupervisedSpec().build(model())
    with pytest.raises(RecipeError, match="frozen_levels=6, but the backbone has 5"):
        FineTuning(frozen_levels=6).freeze(method)


@pytest.mark.parametrize("count", [0, 2])
def test_a_model_without_one_backbone_is_refused_only_where_it_matters(count):
    part = nn.Sequential(*(SPEC.build() for _ in range(count)))
    FineTuning().check(part)
    with pytest.raises(RecipeError, match=rf"has {count} backbones; .* leave them at 1 and 0"):
        FineTuning(rate_decay=0.5).check(part)


def test_the_backbone_is_found_wherever_it_stands():
    inner = model().backbone
    assert backbone_of(nn.ModuleDict({"detector": nn.Sequential(inner)})) is inner


@pytest.mark.parametrize("spec", [BiTSpec(width=0.125, depth=0.1), EnsembleSpec(member=SPEC)])
def test_a_backbone_made_of_others_is_one(spec):
    whole = build_classifier(spec, classes=3)
    assert backbone_of(whole) is whole.backbone
    FineTuning(rate_decay=0.5, frozen_levels=2).check(whole)
    groups = FineTuning(rate_decay=0.5).parameter_groups(SupervisedSpec().build(whole))
    learnt = [id(each) for group in groups for each in group.parameters]
    assert sorted(learnt) == sorted(map(id, whole.parameters()))
