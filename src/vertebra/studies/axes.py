"""The axes along which studies vary a recipe: length, image size, width and depth."""

from vertebra.duration import Duration, epochs
from vertebra.errors import RecipeError
from vertebra.models.shelf import title
from vertebra.models.specs import network_in
from vertebra.recipes.fit import with_image_size
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary


def with_epochs(recipe: Recipe, count: float) -> Recipe:
    """Returns the recipe with its last phase so many epochs long, the warm-up in proportion.

    Raises:
        RecipeError: the phase's length is in steps.
    """
    place = len(recipe.phases) - 1
    phase = recipe.phases[place]
    if phase.length.unit != "epochs":
        raise RecipeError(f"length={phase.length}; give it in epochs, as a study of lengths needs")
    changes: dict[str, Duration] = {f"phases.{place}.length": epochs(count)}
    warmup = phase.schedule.warmup
    if warmup.unit == "epochs":
        share = warmup.value / phase.length.value
        changes[f"phases.{place}.schedule.warmup"] = epochs(round(share * count, 4))
    return vary(recipe, changes)


def with_size(
    recipe: Recipe,
    *,
    width: float | None = None,
    depth: float | None = None,
    image_size: int | None = None,
) -> Recipe:
    """Returns the recipe with its network and images of another size; None keeps what is there.

    width, depth: in place of those of the network's spec, which multiply channels and blocks.

    Raises:
        RecipeError: the network has no such multiplier.
    """
    path, network = network_in(recipe.model)
    changes: dict[str, float] = {}
    for name, value in (("width", width), ("depth", depth)):
        if value is not None:
            if not hasattr(network, name):
                raise RecipeError(
                    f"{title(recipe.model)} has no {name} to vary; choose a network that has, "
                    f"as resnet50 or resnetrs50"
                )
            changes[f"{path}.{name}"] = value
    if changes:
        recipe = vary(recipe, changes)
    return recipe if image_size is None else with_image_size(recipe, image_size).recipe
