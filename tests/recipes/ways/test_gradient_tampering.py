import pytest

from vertebra.errors import RecipeError
from vertebra.methods.cosub import CosubSpec
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy, SupervisedSpec
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import differences, leaves, vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

NOTE = "method.loss.tampering: 1 -> 0.3, as published for 50 layers"


@pytest.mark.parametrize("name", ["small", "digits", "finetune", "baseline"])
def test_a_recipe_gets_tampering_and_nothing_else(name):
    recipe, notes = learn(load(name), "gradient-tampering", Wishes())
    assert differences(load(name), recipe) == {"method.loss.tampering": (1.0, 0.3)}
    assert notes == (NOTE,)


def test_sigmoids_become_a_softmax_with_the_same_smoothing():
    before = vary(load("small"), {"method.loss": BinaryCrossEntropy(smoothing=0.2)})
    recipe, notes = learn(before, "gradient-tampering", Wishes())
    assert recipe.phases[0].method == SupervisedSpec(
        loss=CrossEntropy(smoothing=0.2, tampering=0.3)
    )
    assert notes == (
        "method.loss: BinaryCrossEntropy -> CrossEntropy, the one that has a softmax",
        NOTE,
    )


def test_a_recipe_that_tampers_already_stays():
    before = load("gradient-tampering")
    assert learn(before, "gradient-tampering", Wishes()) == (before, ())


def test_each_phase_is_changed_and_told_of_once():
    before = load("small")
    before = vary(before, {"phases": (before.phases[0], before.phases[0])})
    recipe, notes = learn(before, "gradient-tampering", Wishes())
    assert [phase.method.loss.tampering for phase in recipe.phases] == [0.3, 0.3]
    assert notes == (NOTE,)


def test_a_recipe_without_supervised_learning_is_refused():
    before = vary(load("small"), {"method": CosubSpec(), "name": "other"})
    with pytest.raises(RecipeError, match="no phase of recipe 'other' is supervised"):
        learn(before, "gradient-tampering", Wishes())


def test_a_teacher_is_refused():
    with pytest.raises(RecipeError, match="--teacher is of no use to the method gradient-tamper"):
        learn(load("small"), "gradient-tampering", Wishes(teachers=("run",)))


def test_the_recipe_is_that_of_the_paper():
    found = leaves(load("gradient-tampering"))
    expected = {
        "data.batch_size": 1024,
        "optimizer.kind": "SGD",
        "optimizer.lr": 0.4,
        "optimizer.momentum": 0.9,
        "optimizer.nesterov": True,
        "optimizer.weight_decay": 5e-4,
        "schedule.kind": "Cosine",
        "schedule.warmup": "5 epochs",
        "length": "100 epochs",
        "method.loss.tampering": 0.3,
        "method.loss.smoothing": 0.0,
    }
    assert {path: found[path] for path in expected} == expected
