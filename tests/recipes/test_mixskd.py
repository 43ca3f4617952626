"""The settings of the published code, on ImageNet and on CIFAR-100."""

import pytest

from vertebra.contracts import Progress
from vertebra.models.resnet import NAMED
from vertebra.recipes.mixskd import cifar100, imagenet
from vertebra.recipes.vary import leaves

COMMON = {
    "optimizer.lr": 0.1,
    "optimizer.momentum": 0.9,
    "schedule.warmup": "5 epochs",
    "method.temperature": 3.0,
    "method.adversarial": False,
    "data.augment.mixing": None,
    "selection.keep": "last",
}


@pytest.mark.parametrize(
    ("recipe", "published"),
    [
        (
            imagenet(),
            {
                "method.mixup": 0.2,
                "optimizer.nesterov": False,
                "optimizer.weight_decay": 1e-4,
                "schedule.kind": "Cosine",
                "length": "305 epochs",
                "data.batch_size": 128,
                "data.preprocess.image_size": 224,
            },
        ),
        (
            cifar100(),
            {
                "method.mixup": 0.4,
                "optimizer.nesterov": True,
                "optimizer.weight_decay": 5e-4,
                "schedule.kind": "StepDecay",
                "length": "205 epochs",
                "data.batch_size": 64,
                "data.preprocess.image_size": 32,
            },
        ),
    ],
    ids=["imagenet", "cifar100"],
)
def test_the_settings_are_the_published_ones(recipe, published):
    found, wanted = leaves(recipe), COMMON | published
    assert {path: found[path] for path in wanted} == wanted


def test_the_networks_are_those_of_the_published_figures_but_for_a_stem():
    assert imagenet().model == NAMED["resnet50"]
    assert {"blocks": (2, 2, 2, 2), "block": "basic", "stem_pool": None}.items() <= vars(
        cifar100().model
    ).items()


def test_the_rate_falls_a_hundred_and_a_hundred_and_fifty_epochs_after_the_warm_up():
    per_epoch = 782
    schedule = cifar100().phases[0].schedule
    ends = {
        epoch: schedule.factor(Progress(epoch * per_epoch, 205 * per_epoch), per_epoch)
        for epoch in (5, 104, 105, 154, 155, 204)
    }
    assert [round(factor, 9) for factor in ends.values()] == [1, 1, 0.1, 0.1, 0.01, 0.01]
    before = schedule.factor(Progress(105 * per_epoch - 1, 205 * per_epoch), per_epoch)
    assert before == 1
