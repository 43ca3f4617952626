"""Learning from labels, and between images and their mixtures.

Source: MixSKD: Self-Knowledge Distillation from Mixup for Image Recognition (2022), with what its
code sets for ImageNet.
Differs: gradients are clipped. The self-teacher is two linear layers with nothing between, which at
the rates and the short warm-ups of small runs grew without bound within fifteen updates.
"""

from typing import Any

from vertebra.errors import RecipeError
from vertebra.methods.mixskd import MixSKDSpec
from vertebra.methods.supervised import CrossEntropy, SupervisedSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.wishes import Wishes

CLIP_NORM = 5.0


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe with MixSKD in place of every supervised phase; it mixes images itself.

    Raises:
        RecipeError: no phase is supervised, or something was given that it has no use for.
    """
    wishes.refuse_all_but("mixskd")
    changes: dict[str, Any] = {}
    notes: dict[str, None] = {}
    for place, phase in enumerate(recipe.phases):
        if not isinstance(phase.method, SupervisedSpec):
            continue
        changes[f"phases.{place}.method"] = MixSKDSpec()
        if phase.method.loss != CrossEntropy():
            notes["method.loss: left out, since mixskd takes plain cross-entropy"] = None
        if phase.data.augment.mixing is not None:
            changes[f"phases.{place}.data.augment.mixing"] = None
            notes["data.augment.mixing: left out, since mixskd mixes images itself"] = None
        if phase.clip_norm is None:
            changes[f"phases.{place}.clip_norm"] = CLIP_NORM
            notes[f"clip_norm: none -> {CLIP_NORM:g}, or the self-teacher may diverge"] = None
    if not any(isinstance(phase.method, SupervisedSpec | MixSKDSpec) for phase in recipe.phases):
        raise RecipeError(
            f"mixskd adds to learning from labels and no phase of recipe {recipe.name!r} is "
            f"supervised; choose a recipe that is, such as small"
        )
    if changes:
        notes["method: each image passes mixed as well, and branches learn beside the model"] = None
    return Fitted(vary(recipe, changes), tuple(notes))
