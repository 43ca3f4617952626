"""Learning from labels and from another submodel of the same network.

Source: Co-training 2^L Submodels for Visual Recognition (2023), with one rate of stochastic depth
for all blocks.
Differs: a network whose rate can only grow from block to block gets twice the rate in the last one,
which is the same on average. The rate is ours, for small networks and data; the authors' go from
0.05 for a small transformer to 0.6 for a huge one.
"""

from typing import Any

from vertebra.errors import RecipeError
from vertebra.methods.cosub import CosubSpec
from vertebra.methods.supervised import SupervisedSpec
from vertebra.models.levit import LeViTSpec
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shelf import title
from vertebra.models.specs import ModelSpec
from vertebra.models.timm import TimmSpec
from vertebra.models.timm_library import created, parameters_of, require_timm
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.wishes import Wishes
from vertebra.uncompiled import outline

RATE = 0.1


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe with co-training in every supervised phase, of a model that drops blocks.

    Raises:
        RecipeError: the model cannot drop blocks, no phase is supervised, or something was given
            that it has no use for.
    """
    wishes.refuse_all_but("cosub")
    changes, notes = _dropping(recipe.model)
    for place, phase in enumerate(recipe.phases):
        if isinstance(phase.method, SupervisedSpec):
            changes[f"phases.{place}.method"] = CosubSpec(loss=phase.method.loss)
    made = vary(recipe, changes)
    if not any(isinstance(phase.method, CosubSpec) for phase in made.phases):
        raise RecipeError(
            f"cosub adds to learning from labels and no phase of recipe {recipe.name!r} is "
            f"supervised; choose a recipe that is, such as small"
        )
    twice = "method: each image passes through the network twice, at twice the time and memory"
    return Fitted(made, (*notes, twice))


def _dropping(model: ModelSpec) -> tuple[dict[str, Any], list[str]]:
    """Returns what makes the model drop blocks, where it does not, and a sentence for each."""
    if not _can_drop(model):
        raise RecipeError(
            f"cosub needs submodels that differ and {title(model)} has no stochastic depth; choose "
            f"a model that has, such as resnet50, convnext_tiny or levit_128s"
        )
    path = "model.stochastic_depth"
    before: float | None = vars(model)["stochastic_depth"]
    if before:
        return {}, []
    rate = RATE if isinstance(model, ResNetSpec | LeViTSpec) else 2 * RATE
    changes: dict[str, Any] = {path: rate}
    notes = [f"{path}: {before or 0:g} -> {rate:g}, which makes the submodels differ"]
    if isinstance(model, ResNetSpec) and model.stochastic_depth_rule != "constant":
        changes[f"{path}_rule"] = "constant"
        notes.append(f"{path}_rule: {model.stochastic_depth_rule} -> constant, as published")
    return changes, notes


def _can_drop(model: ModelSpec) -> bool:
    if not isinstance(model, TimmSpec):
        return "stochastic_depth" in vars(model)
    require_timm(model.name)
    with outline():
        return "drop_path_rate" in parameters_of(type(created(model.name, {})))
