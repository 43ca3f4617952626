"""Learning from labels, as every recipe does from the start."""

from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.ways.wishes import Wishes


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe as it is.

    Raises:
        RecipeError: something was given that labels have no use for.
    """
    wishes.refuse_all_but("supervised")
    return Fitted(recipe, ())
