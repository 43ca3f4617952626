"""Learning from labels by several small networks in the place of one, which learn to agree.

Source: Towards Better Accuracy-efficiency Trade-offs: Divide and Co-training (2022).
Differs: two networks, unless the recipe says how many.
"""

from typing import Any

from vertebra.errors import RecipeError
from vertebra.methods.co_training import CoTrainingSpec
from vertebra.methods.supervised import SupervisedSpec
from vertebra.models.divide import DividedSpec, weakened_decay, weakened_dropout
from vertebra.models.ensemble import EnsembleSpec
from vertebra.models.shelf import title
from vertebra.recipes.fit import Fitted
from vertebra.recipes.follow import follow
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.wishes import Wishes


def adapt(recipe: Recipe, wishes: Wishes, *, weaken_decay: bool = False) -> Fitted:
    """Returns the recipe with its model divided by two, co-trained in every supervised phase.

    An ensemble stays as it is.

    weaken_decay: for the smaller networks the weights decay less; the paper does so on some data
                  sets only.

    Raises:
        RecipeError: the model cannot be divided, no phase is supervised, or something was given
            that it has no use for.
    """
    wishes.refuse_all_but("co-training")
    changes, notes = _divided(recipe, weaken_decay=weaken_decay)
    for place, phase in enumerate(recipe.phases):
        if isinstance(phase.method, SupervisedSpec):
            changes[f"phases.{place}.method"] = CoTrainingSpec(loss=phase.method.loss)
    made, said = follow(vary(recipe, changes))
    if not any(isinstance(phase.method, CoTrainingSpec) for phase in made.phases):
        raise RecipeError(
            f"co-training adds to learning from labels and no phase of recipe {recipe.name!r} is "
            f"supervised; choose a recipe that is, such as small"
        )
    return Fitted(made, (*notes, *said))


def _divided(recipe: Recipe, *, weaken_decay: bool) -> tuple[dict[str, Any], list[str]]:
    """Returns what divides the model and regularises it less, and a sentence for each."""
    whole = recipe.model
    if isinstance(whole, DividedSpec | EnsembleSpec):
        return {}, []
    model = DividedSpec(whole=whole)
    changes: dict[str, Any] = {"model": model}
    notes = [f"model: {title(whole)} -> {title(model)}, which together cost as much"]
    if recipe.dropout:
        dropout = round(weakened_dropout(whole, recipe.dropout, model.networks), 4)
        changes["dropout"] = dropout
        notes.append(f"dropout: {recipe.dropout:g} -> {dropout:g}, less for smaller networks")
    for place, phase in enumerate(recipe.phases):
        before = phase.optimizer.weight_decay
        if weaken_decay and before:
            after = weakened_decay(before, model.networks)
            changes[f"phases.{place}.optimizer.weight_decay"] = after
            notes.append(f"weight_decay: {before:g} -> {after:g}, less for smaller networks")
    return changes, notes
