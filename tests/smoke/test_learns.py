"""Every way to learn learns: where a bright square stands in noise, in a second, with a fixed seed.

Each member of a recipe's unions is tried; one that is new need not be listed here unless its
defaults do not suit thirty updates. Methods that need more than labels have files beside this one.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import pytest
from tests.recipes.drawn import CLASSES
from tests.smoke.square import learnt, plain

from vertebra.data.crops import Crop, PadCrop
from vertebra.data.erase import Erase
from vertebra.data.mixing import Mixing
from vertebra.data.randaugment import RandAugment
from vertebra.duration import steps
from vertebra.engine.averaging import Averaging
from vertebra.engine.optimizers import LARS, SGD, AdamW, OptimizerSpec
from vertebra.engine.schedules import Cosine, ScheduleSpec
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy, LossSpec
from vertebra.recipes.recipe import Recipe

pytestmark = pytest.mark.usefixtures("no_page")

SETTINGS: dict[type, dict[str, Any]] = {
    SGD: {"lr": 0.05},
    AdamW: {"lr": 0.01},
    LARS: {"lr": 30.0},
    Cosine: {"warmup": steps(4)},
    PadCrop: {"padding": 1},  # the places are five pixels apart
}
CHANCE = 1 / len(CLASSES)


def kinds(spec: Any) -> tuple[type, ...]:
    """Returns the members of a union; a single class is a union of one."""
    return get_args(spec) or (spec,)


def named(name: str, spec: Any) -> list[Any]:
    """Returns a test case for each member, with its settings here or its defaults."""
    return [
        pytest.param({name: kind(**SETTINGS.get(kind, {}))}, id=kind.__name__)
        for kind in kinds(spec)
    ]


CASES = [
    *named("method.loss", LossSpec),
    *named("data.augment.crop", Crop),
    *named("optimizer", OptimizerSpec),
    *named("schedule", ScheduleSpec),
    pytest.param({"data.augment.mixing": Mixing(mixup=0.2)}, id="mixup"),
    pytest.param({"data.augment.mixing": Mixing(cutmix=1.0, probability=0.5)}, id="cutmix"),
    pytest.param({"data.augment.erase": Erase()}, id="erasing"),
    pytest.param(
        {"data.augment.rand_augment": RandAugment(count=1, magnitude=4, reference_px=224)},
        id="randaugment",
    ),
    pytest.param({"averaging": Averaging(decay=0.9)}, id="average"),
    pytest.param(
        {"model.drop_block": 0.1, "model.stochastic_depth": 0.1, "dropout": 0.1}, id="dropping"
    ),
    pytest.param({"model.form": "D", "model.squeeze": 0.25, "model.stem_pool": "conv"}, id="rs"),
    pytest.param({"accumulate": 2, "clip_norm": 1.0}, id="accumulated and clipped"),
    pytest.param({"execution.precision": "bf16", "model.stem_pool": None}, id="bf16"),
    pytest.param(
        {
            "method.loss": BinaryCrossEntropy(threshold=0.2),
            "data.augment.mixing": Mixing(mixup=0.1, cutmix=1.0, probability=0.5),
            "optimizer": AdamW(lr=0.01),
        },
        id="ResNet strikes back",
    ),
    pytest.param(
        {
            "method.loss": CrossEntropy(smoothing=0.1),
            "schedule": Cosine(warmup=steps(4)),
            "averaging": Averaging(decay=0.9),
            "model.stochastic_depth": 0.1,
            "dropout": 0.1,
        },
        id="ResNet-RS",
    ),
]


@pytest.fixture(scope="module")
def top1(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recipe], float]:
    """The share of images that a recipe gets right; members that are defaults share a run."""

    @cache
    def learn(recipe: Recipe) -> float:
        return learnt(recipe, tmp_path_factory.mktemp("run")).figures["top1"]

    return learn


@pytest.mark.parametrize("changes", CASES)
def test_it_learns_where_the_square_is(top1, changes):
    assert top1(plain(changes)) >= 0.7 > 2 * CHANCE
