"""Learning from labels, and from confident answers on images without.

Source: FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence (2020),
section 4.1, and the released code: threshold 0.95, weight 1, 7 images without labels for each
labelled one, no smoothing, an average of the weights with decay 0.999.
Differs: the plain version keeps the recipe's crop, where there images move by an eighth at most.
RandAugment has one magnitude, there each operation draws its own; a rectangle of any shape is
covered and not a square. Rate, schedule and length are the recipe's.
"""

from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.beside import Beside
from vertebra.data.erase import Erase
from vertebra.data.randaugment import RandAugment
from vertebra.data.views import View
from vertebra.engine.averaging import Averaging
from vertebra.methods.fixmatch import FixMatchSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.ways.joint import joined, learns_labels_last, require_pool
from vertebra.recipes.ways.wishes import Wishes

RATIO = 7
STRONG = RandAugment(pool="tf", count=2, magnitude=10, reference_px=224)
COVER = Erase(probability=1.0, area=(0.1, 0.25), aspect=(0.5, 2.0), mode="constant")


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe with agreement of views in its last phase.

    Raises:
        RecipeError: its last phase is not supervised, or the images without labels are missing, or
            something was given that it has no use for.
    """
    wishes.refuse_all_but("fixmatch", "unlabelled")
    if isinstance(recipe.phases[-1].method, FixMatchSpec):
        return Fitted(joined(recipe, wishes), ())
    last, method = learns_labels_last(recipe, "fixmatch")
    augment, pool = last.data.augment, require_pool(wishes, "fixmatch")
    plain = Augment(crop=augment.crop, flip=augment.flip)
    strong = replace(plain, rand_augment=STRONG, erase=COVER)
    if last.data.preprocess.channels == 4:  # its operations take no alpha
        strong = replace(strong, rand_augment=None)
    beside = Beside(images=pool, ratio=RATIO, augment=plain, views=(View(augment=strong),))
    phase = replace(
        last,
        data=replace(last.data, augment=plain, beside=beside),
        method=FixMatchSpec(loss=replace(method.loss, smoothing=0.0)),
        averaging=last.averaging or Averaging(decay=0.999),
    )
    notes = [
        f"data.beside: {RATIO} images without labels beside each labelled one, in two versions"
    ]
    if augment != plain:
        notes.append("data.augment: crop and flip only; what is stronger is for the second version")
    if method.loss.smoothing:
        notes.append(
            f"method.loss.smoothing: {method.loss.smoothing:g} -> 0, else it is never sure"
        )
    if last.averaging is None:
        notes.append("averaging: the average of the weights with decay 0.999 is evaluated")
    return Fitted(replace(recipe, phases=(*recipe.phases[:-1], phase)), tuple(notes))
