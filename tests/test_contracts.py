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
    Losses,
    MapSpec,
    Method,
    Progress,
    split_by_decay,
)


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


def test_a_shared_parameter_is_grouped_once():
    layer = nn.Linear(2, 2, bias=False)
    weights, rest = split_by_decay(nn.Sequential(layer, layer))
    assert (len(weights.parameters), len(rest.parameters)) == (1, 0)


def test_a_method_moves_nothing_after_a_step_unless_it_says_so():
    method = Fit()
    before = copy.deepcopy(method.state_dict())
    method.after_step(Progress(1, 2))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
