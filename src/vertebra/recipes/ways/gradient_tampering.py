"""Learning from labels with a softened gradient.

Source: Softmax Gradient Tampering (2021), which searched the power for each network: 0.25 for 18
layers, 0.3 (or 0.05, without smoothing) for 50, 0.3 for 101.
"""

from typing import Any

from vertebra.errors import RecipeError
from vertebra.methods.supervised import CrossEntropy, LossSpec, SupervisedSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.wishes import Wishes

TAMPERING = 0.3


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe with tampering in every phase of supervised learning that has none.

    Raises:
        RecipeError: there is no such phase, or something was given that it has no use for.
    """
    wishes.refuse_all_but("gradient-tampering")
    changes: dict[str, Any] = {}
    notes: dict[str, None] = {}
    losses = {
        place: phase.method.loss
        for place, phase in enumerate(recipe.phases)
        if isinstance(phase.method, SupervisedSpec)
    }
    if not losses:
        raise RecipeError(
            f"gradient-tampering changes a loss on labels and no phase of recipe {recipe.name!r} "
            f"is supervised; choose a recipe that is, such as small"
        )
    for place, loss in losses.items():
        changed, said = _tampered(loss)
        changes[f"phases.{place}.method.loss"] = changed
        notes |= dict.fromkeys(said)
    return Fitted(vary(recipe, changes), tuple(notes))


def _tampered(loss: LossSpec) -> tuple[CrossEntropy, list[str]]:
    """Returns the loss with tampering, and a sentence for each change."""
    notes: list[str] = []
    if not isinstance(loss, CrossEntropy):
        before = type(loss).__name__
        loss = CrossEntropy(smoothing=loss.smoothing)
        notes.append(f"method.loss: {before} -> CrossEntropy, the one that has a softmax")
    if loss.tampering == 1:
        loss = CrossEntropy(smoothing=loss.smoothing, tampering=TAMPERING)
        notes.append(f"method.loss.tampering: 1 -> {TAMPERING}, as published for 50 layers")
    return loss, notes
