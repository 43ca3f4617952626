"""Learning without labels from two versions of each image, told apart from all others."""

from dataclasses import replace

from vertebra.data.crops import Crop
from vertebra.methods.simclr import SimCLRSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.simclr import SMALL, SMALL_LARS, lars_for, version
from vertebra.recipes.two_views import SMALL_BATCH
from vertebra.recipes.ways.two_views import LARGE_BATCH, Settings, pretraining
from vertebra.recipes.ways.wishes import Wishes


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe made to pretrain; its length stays.

    Raises:
        RecipeError: something was given that it has no use for.
    """
    return pretraining(recipe, wishes, "simclr", _settings)


def _settings(phase: Phase, crop: Crop, blurs: bool) -> Settings:
    batch = phase.data.batch_size
    made = version(crop, flip=phase.data.augment.flip, blurs=blurs)
    if batch < LARGE_BATCH:
        optimizer = replace(SMALL_LARS, lr=SMALL_LARS.lr_for(batch / SMALL_BATCH))
        return Settings(SMALL, optimizer, (made, made))
    return Settings(SimCLRSpec(), lars_for(batch), (made, made))
