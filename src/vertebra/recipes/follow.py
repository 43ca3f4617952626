"""What follows from other values of a recipe, and has to be made to fit when those are changed."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from vertebra.data.views import View
from vertebra.methods.co_training import CoTrainingSpec
from vertebra.models.divide import DividedSpec
from vertebra.models.ensemble import EnsembleSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import full_path, vary


def follow(recipe: Recipe, *, fixed: Collection[str] = ()) -> Fitted:
    """Returns the recipe with a view for each network that is co-trained, but for the first, which
    sees the images; all are changed in the same way, with draws of their own.

    fixed: paths that stay as they are, with what is below them, as "data.views".
    """
    changes: dict[str, Any] = {}
    if not isinstance(recipe.model, DividedSpec | EnsembleSpec):
        return Fitted(recipe, ())
    for place, phase in enumerate(recipe.phases):
        path = f"phases.{place}.data.views"
        is_fixed = any(full_path(recipe, each).startswith(path) for each in fixed)
        if is_fixed or not isinstance(phase.method, CoTrainingSpec):
            continue
        view = View(augment=replace(phase.data.augment, mixing=None))
        views = (view,) * (recipe.model.networks - 1)
        if views != phase.data.views:
            changes[path] = views
    note = f"data.views: a version of its own for each of {recipe.model.networks} networks"
    return Fitted(vary(recipe, changes), (note,) if changes else ())
