"""Learning without labels from two versions of each image, one foretold from the other."""

from dataclasses import replace

from vertebra.data.crops import Crop
from vertebra.methods.byol import BYOLSpec
from vertebra.recipes.byol import SMALL, SMALL_LARS, lars_for, row_for, versions
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.two_views import SMALL_BATCH
from vertebra.recipes.ways.two_views import LARGE_BATCH, Settings, pretraining
from vertebra.recipes.ways.wishes import Wishes


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe made to pretrain; its length stays, and with it come rate and tau.

    Raises:
        RecipeError: something was given that it has no use for.
    """
    return pretraining(recipe, wishes, "byol", _settings)


def _settings(phase: Phase, crop: Crop, blurs: bool) -> Settings:
    batch, length = phase.data.batch_size, phase.length
    made = versions(crop, flip=phase.data.augment.flip, blurs=blurs)
    if batch < LARGE_BATCH:
        lr = SMALL_LARS.lr_for(batch / SMALL_BATCH)
        return Settings(SMALL, replace(SMALL_LARS, lr=lr), made)
    row = row_for(length.value if length.unit == "epochs" else float("inf"))
    return Settings(BYOLSpec(tau=row.tau), lars_for(row, batch), made)
