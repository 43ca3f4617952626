"""Learning from labels that are wrong or missing here and there, as labels off the web are.

Source: Revisiting Unreasonable Effectiveness of Data in Deep Learning Era (2017).
"""

from typing import Any

from vertebra.methods.logistic import Logistic
from vertebra.methods.supervised import SupervisedSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.wishes import Wishes


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe with one sigmoid a class, its smoothing kept, and a classifier that starts
    with every class improbable.

    Raises:
        RecipeError: teachers or images without labels were given.
    """
    wishes.refuse_all_but("noisy-labels")
    changes: dict[str, Any] = {"head_bias": "log_prior"}
    for place, phase in enumerate(recipe.phases):
        loss = Logistic(smoothing=_smoothing(phase))
        changes[f"phases.{place}.method"] = SupervisedSpec(loss=loss)
    notes = (
        "method.loss: Logistic, one sigmoid a class, summed",
        "head_bias: log_prior, so that the loss starts near log K and not at K log 2",
        _aids(recipe.phases[-1]),
    )
    return Fitted(vary(recipe, changes), notes)


def _smoothing(phase: Phase) -> float:
    return phase.method.loss.smoothing if isinstance(phase.method, SupervisedSpec) else 0.0


def _aids(phase: Phase) -> str:
    """Returns a sentence on what else keeps wrong labels from being learnt by heart."""
    has_mixup = phase.data.augment.mixing is not None and phase.data.augment.mixing.mixup > 0
    aids = {
        "an average of the weights (averaging=Averaging)": phase.averaging is not None,
        'mixup (data.augment.mixing={"mixup": 0.2})': has_mixup,
        "smoothing (method.loss.smoothing=0.1)": _smoothing(phase) > 0,
    }
    missing = [name for name, is_there in aids.items() if not is_there]
    if not missing:
        return "averaging, mixup and smoothing, which help against wrong labels, are kept"
    return f"not in this recipe, and of help against wrong labels: {', '.join(missing)}"
