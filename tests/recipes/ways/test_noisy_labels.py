import math

import pytest
import torch

from vertebra.contracts import Batch, Progress
from vertebra.data.mixing import Mixing
from vertebra.errors import RecipeError
from vertebra.methods.logistic import Logistic
from vertebra.methods.supervised import SupervisedSpec
from vertebra.recipes.materials import build_model
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import differences, leaves, vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes


@pytest.mark.parametrize("name", ["small", "digits", "finetune", "baseline"])
def test_a_recipe_gets_sigmoids_and_keeps_its_smoothing(name):
    before = load(name)
    recipe, _ = learn(before, "noisy-labels", Wishes())
    smoothing = before.phases[0].method.loss.smoothing
    assert recipe.phases[0].method == SupervisedSpec(loss=Logistic(smoothing=smoothing))
    changes = differences(before, recipe)
    assert changes.pop("head_bias") == ("zero", "log_prior")
    assert all(path.startswith("method.loss") for path in changes)


def test_what_else_helps_is_told_and_left_to_the_recipe():
    _, notes = learn(load("small"), "noisy-labels", Wishes())
    assert notes[-1] == (
        "not in this recipe, and of help against wrong labels: "
        'mixup (data.augment.mixing={"mixup": 0.2})'
    )
    mixed = vary(load("small"), {"data.augment.mixing": Mixing(mixup=0.2)})
    _, notes = learn(mixed, "noisy-labels", Wishes())
    assert notes[-1] == "averaging, mixup and smoothing, which help against wrong labels, are kept"


def test_the_first_loss_is_near_log_k_and_not_near_k_log_two():
    recipe = learn(load("small"), "noisy-labels", Wishes()).recipe
    classes = 100
    method = recipe.phases[0].method.build(build_model(recipe, classes))
    batch = Batch(torch.randn(4, 3, 32, 32), torch.arange(4), torch.arange(4))
    loss = method(batch, Progress(0, 1)).total.detach()
    assert float(loss) == pytest.approx(math.log(classes) + 1, rel=0.1)


def test_every_phase_learns_so():
    before = load("small")
    before = vary(before, {"phases": (before.phases[0], before.phases[0])})
    recipe, notes = learn(before, "noisy-labels", Wishes())
    assert [type(phase.method.loss) for phase in recipe.phases] == [Logistic, Logistic]
    assert len(notes) == 3


def test_a_teacher_is_refused():
    with pytest.raises(RecipeError, match="--teacher is of no use to the method noisy-labels"):
        learn(load("small"), "noisy-labels", Wishes(teachers=("run",)))


def test_the_recipe_is_that_of_the_paper_where_our_parts_allow():
    found = leaves(load("jft"))
    expected = {
        "data.batch_size": 32,
        "data.preprocess.image_size": 299,
        "data.preprocess.mean": [0.5, 0.5, 0.5],
        "optimizer.lr": 1e-3,
        "optimizer.weight_decay": 1e-4,
        "schedule.drop": 0.9,
        "length": "4 epochs",
        "method.loss.kind": "Logistic",
    }
    assert {path: found[path] for path in expected} == expected
    phase = load("jft").phases[0]
    factors = [phase.schedule.factor(Progress(step, 36), 9) for step in (0, 2, 3, 35)]
    assert factors == pytest.approx([1, 1, 0.9, 0.9**11])
