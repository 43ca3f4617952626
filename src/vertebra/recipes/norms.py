"""The recipe of a run with other norms, and how the run's weights become a start for it.

Such a recipe names the run that it starts from, so that it is resumed and replayed as any other is.
"""

from dataclasses import replace
from pathlib import Path

from vertebra.contracts import Classifier
from vertebra.duration import steps
from vertebra.engine.schedules import Cosine
from vertebra.errors import RecipeError
from vertebra.layers.norm import GroupNormSpec
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shelf import BackboneSpec, title
from vertebra.models.surgery import swap_norm
from vertebra.recipes.recipe import Expectation, Phase, Pretrained, Recipe

LR_SHARE = 0.1
"""Share of a recipe's rate at which group norms learn: what batch norms bear is too much for them.
"""


def group_normed(
    recipe: Recipe, directory: Path, *, norm: GroupNormSpec, standardise: bool = False
) -> Recipe:
    """Returns the recipe of the run in `directory` with group norms, to start from its weights.

    Every phase has a tenth of its rate.

    Raises:
        RecipeError: its model has no field for the norm, or no batch norms.
    """
    model = recipe.model
    if not isinstance(model, ResNetSpec):
        raise RecipeError(
            f"{title(model)} is a {type(model).__name__}, which has no field for its norm, so that "
            "no recipe could build the result; swap in Python: vertebra.models.surgery.swap_norm"
        )
    if model.norm is not None:
        raise RecipeError(f"{title(model)} has no batch norms; there is nothing to replace")
    return replace(
        recipe,
        source=f"{recipe.source}; then {norm}, Group Normalization (2018)",
        expects=Expectation(),
        model=replace(model, norm=norm, standardised=standardise or model.standardised),
        pretrained=Pretrained(weights=str(directory.absolute())),
        phases=tuple(map(_slower, recipe.phases)),
    )


def shortened(recipe: Recipe, updates: int, *, lr: float | None = None) -> Recipe:
    """Returns the recipe with so many updates of its last phase alone, their rate on a cosine.

    lr: the peak; None is that of the phase.
    """
    phase = recipe.phases[-1]
    optimizer = phase.optimizer if lr is None else replace(phase.optimizer, lr=lr)
    schedule = Cosine(warmup=steps(updates // 10))
    short = replace(phase, length=steps(updates), optimizer=optimizer, schedule=schedule)
    return replace(recipe, phases=(short,))


def _slower(phase: Phase) -> Phase:
    optimizer = phase.optimizer
    return replace(phase, optimizer=replace(optimizer, lr=optimizer.lr * LR_SHARE))


def operated(model: Classifier, before: BackboneSpec, after: BackboneSpec) -> Classifier:
    """Returns the model of spec `before` with the norms of `after`, if these are all that differs;
    else the model as it is."""
    if not isinstance(before, ResNetSpec) or not isinstance(after, ResNetSpec):
        return model
    if before.norm is not None or after.norm is None:
        return model
    if replace(before, norm=after.norm, standardised=after.standardised) != after:
        return model
    standardise = after.standardised and not before.standardised
    return swap_norm(model, after.norm, standardise=standardise).model
