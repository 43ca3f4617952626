"""The abstractions keep what they promise."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from vertebra.contracts import (
    Backbone,
    Batch,
    Classifier,
    Encoding,
    Foldable,
    Losses,
    MapSpec,
    Method,
    Progress,
    Undecayed,
    fused,
    sharing,
    split_by_decay,
)
from vertebra.layers.conv_norm import ConvNorm


class Pool(Backbone):
    maps = (MapSpec("all", 3, 1),)
    width = 3
    in_channels = 3

    def forward(self, images):
        return Encoding((images,), images.mean(dim=(2, 3)))


class Fit(Method):
    def __init__(self):
        super().__init__()
        self.student = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
        self.teacher = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, batch, progress):
        total = self.student(batch.images).square().mean()
        return Losses(total, {"square": total.detach()})

    def deployable(self):
        return self.student


def draw(n: int = 4) -> Batch:
    return Batch(torch.rand(n, 3, 8, 8), torch.zeros(n, dtype=torch.int64), torch.arange(n))


def test_batch_moves_whole_and_keeps_its_values():
    batch = draw()
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.images, batch.images)
    assert batch.to(torch.device("meta")).index.device.type == "meta"


def test_batch_is_equal_to_itself_alone():
    batch = draw()
    assert batch == batch
    assert batch != draw()
    assert len({batch, batch}) == 1


def test_batch_cannot_be_changed_but_can_be_copied():
    batch = draw()
    with pytest.raises(AttributeError):
        batch.images = batch.images + 1
    copied = copy.deepcopy(batch)
    assert torch.equal(copied.images, batch.images)
    assert copied.images is not batch.images


def test_batch_comes_through_the_worker_of_a_loader():
    loader = DataLoader(list(range(4)), batch_size=2, num_workers=1, collate_fn=collate)
    assert [batch.index.tolist() for batch in loader] == [[0, 1], [2, 3]]


def collate(numbers: list[int]) -> Batch:
    index = torch.tensor(numbers)
    return Batch(torch.zeros(len(numbers), 3, 2, 2), index, index)


def test_classifier_is_the_head_on_the_vector():
    head = nn.Linear(3, 5)
    images = draw().images
    logits = Classifier(Pool(), head)(images)
    assert torch.equal(logits, head(images.mean(dim=(2, 3))))


@pytest.mark.parametrize("kind", [Backbone, Method])
def test_what_a_contract_leaves_open_must_be_written(kind):
    class Unfinished(kind):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Unfinished()


def test_progress_runs_from_zero_to_one():
    assert [Progress(step, 4).fraction for step in (0, 1, 4)] == [0.0, 0.25, 1.0]


def test_a_phase_without_steps_is_done():
    assert Progress(0, 0).fraction == 1.0


def test_every_trainable_parameter_is_in_one_group():
    method = Fit()
    groups = method.parameter_groups()
    grouped = [id(parameter) for group in groups for parameter in group.parameters]
    trainable = [id(parameter) for parameter in method.parameters() if parameter.requires_grad]
    assert sorted(grouped) == sorted(trainable)


def test_norms_and_biases_do_not_decay():
    weights, rest = split_by_decay(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
    assert [tuple(each.shape) for each in weights.parameters] == [(3, 2)]
    assert [each.ndim for each in rest.parameters] == [1, 1, 1]
    assert (weights.decays, rest.decays, weights.lr_scale) == (True, False, 1.0)


def test_an_undecayed_part_does_not_decay_whatever_its_rank():
    class Table(Undecayed):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 3)

    table, layer = Table(), nn.Linear(4, 5)
    weights, rest = split_by_decay(nn.Sequential(table, layer))
    assert [id(each) for each in weights.parameters] == [id(layer.weight)]
    assert [tuple(each.shape) for each in rest.parameters] == [(3, 2), (3,), (5,)]


def test_a_shared_parameter_is_grouped_once():
    layer = nn.Linear(2, 2, bias=False)
    weights, rest = split_by_decay(nn.Sequential(layer, layer))
    assert (len(weights.parameters), len(rest.parameters)) == (1, 0)


def test_a_method_moves_nothing_after_a_step_unless_it_says_so():
    method = Fit()
    before = copy.deepcopy(method.state_dict())
    method.after_step(Progress(1, 2))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


class Doubled(Foldable):
    """Counts the foldable parts that it holds when it is folded itself."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.found = -1

    def forward(self, x):
        return 2 * self.inner(x)

    def folded(self):
        self.found = sum(isinstance(each, Foldable) for each in self.inner.modules())
        return self


def test_the_form_for_inference_gives_the_same_with_fewer_parameters():
    model = nn.Sequential(ConvNorm(3, 4, act=nn.ReLU()), ConvNorm(4, 5, kernel=3, stride=2))
    model(torch.randn(8, 3, 6, 6))  # moves the statistics
    folded = fused(model)
    images = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(folded(images), model.eval()(images))
    counts = [sum(each.numel() for each in form.parameters()) for form in (folded, model)]
    assert counts[1] - counts[0] == 4 + 5


def test_the_form_for_inference_leaves_the_model_as_it_is():
    model = nn.Sequential(ConvNorm(3, 4, act=nn.ReLU(inplace=True)))
    before = copy.deepcopy(model.state_dict())
    parts = list(model.modules())
    folded = fused(model)
    for parameter in folded.parameters():
        nn.init.zeros_(parameter)
    assert model.training
    assert not any(each.training for each in folded.modules())
    assert list(model.modules()) == parts
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_form_for_inference_shares_no_memory_with_the_model_where_nothing_folds():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    folded = fused(model)
    for part in (model, folded):
        tensors = [*part.parameters(), *part.buffers()]
        assert len({each.data_ptr() for each in tensors}) == len(tensors) == 7
    assert {each.data_ptr() for each in model.state_dict().values()}.isdisjoint(
        each.data_ptr() for each in folded.state_dict().values()
    )


def test_a_copy_that_shares_tensors_has_its_own_names_for_them():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    before = [tensor.dtype for tensor in model.state_dict().values()]
    copy = sharing(model)
    pairs = zip(model.state_dict().values(), copy.state_dict().values(), strict=True)
    assert all(one.data_ptr() == other.data_ptr() for one, other in pairs)
    copy.half()
    assert [tensor.dtype for tensor in model.state_dict().values()] == before


def test_inner_parts_are_folded_before_outer_ones():
    folded = fused(nn.Sequential(Doubled(nn.Sequential(ConvNorm(3, 4), Doubled(nn.Identity())))))
    outer, inner = (each for each in folded.modules() if isinstance(each, Doubled))
    assert (outer.found, inner.found) == (1, 0)
    assert isinstance(outer.inner[0], nn.Conv2d)


def test_a_part_that_two_others_share_is_folded_in_both():
    shared = ConvNorm(3, 3)
    model = nn.Sequential(nn.Sequential(shared), nn.Sequential(shared, nn.ReLU()))
    model(torch.randn(8, 3, 6, 6))
    images = torch.randn(2, 3, 6, 6)
    folded = fused(model)
    assert not any(isinstance(each, Foldable) for each in folded.modules())
    torch.testing.assert_close(folded(images), model.eval()(images))


def test_a_classifier_folds_its_head_too():
    head = nn.Sequential(nn.Unflatten(1, (3, 1, 1)), ConvNorm(3, 5), nn.Flatten())
    model = Classifier(Pool(), head)
    images = draw().images
    folded = model.fused()
    assert isinstance(folded, Classifier)
    assert not any(isinstance(each, Foldable) for each in folded.modules())
    torch.testing.assert_close(folded(images), model.eval()(images))
