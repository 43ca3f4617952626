"""Learning a finished run's function from patches of one picture.

Source: The Augmented Image Prior: Distilling 1000 Classes by Extrapolating from a Single Image
(2023), and its authors' code: temperature 8 without its square, CutMix always;
for small images Adam at 1e-3, flips and moves, for large ones AdamW at 0.01, crops and colours.
Differs: the recipe's schedule stays, where the authors' rate is constant or halved; moves reach an
eighth of the side, 4 of 32 pixels; the recipe says whether images are flipped.
"""

from dataclasses import replace
from functools import partial

from vertebra.data.augment import Augment, Solarize
from vertebra.data.crops import PadCrop
from vertebra.data.jitter import ColorJitter
from vertebra.data.mixing import Mixing
from vertebra.data.patches import Patches
from vertebra.engine.optimizers import SGD, AdamW
from vertebra.errors import RecipeError
from vertebra.methods.distill import DistillSpec
from vertebra.recipes.fit import SMALL_PX, Fitted, with_image_size
from vertebra.recipes.recipe import Data, Phase, Recipe
from vertebra.recipes.ways.taught import change_phases, taught_by, teacher_sizes
from vertebra.recipes.ways.wishes import Wishes

METHOD = DistillSpec(temperature=8.0, scales_by_square=False)
SMALL, LARGE = AdamW(lr=1e-3, weight_decay=0.0), AdamW(lr=0.01, weight_decay=5e-4)
BATCH = 512
COLOURS = Augment(
    jitter=ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4, probability=0.8),
    grayscale=0.2,
    solarize=Solarize(probability=0.2),
)
PHOTO = "china"


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe learning from patches of a picture, and judged on its own images.

    Raises:
        RecipeError: there is no teacher, teachers differ in image size, other images than one
            picture were given, or something that it has no use for.
        CheckpointError: the teacher is no run.
    """
    wishes.refuse_all_but("single-image", "teachers", "learn_from")
    size, *others = teacher_sizes(wishes, "single-image")
    if others:
        raise RecipeError(
            f"the teachers take images of {size} and {others[0]} px, and CutMix needs one size; "
            f"give teachers of one size"
        )
    wished = _picture(wishes)
    recipe, notes = with_image_size(recipe, size)
    made = change_phases(recipe, partial(_extrapolating, size=size), "single-image")
    made = replace(made, selection=replace(recipe.selection, keep="last"))
    made = taught_by(made, wishes._replace(learn_from=wished))
    notes = (
        f"learn_from: patches of {size} px out of {wished.image}; no image of the data set is "
        f"learnt from, it only judges; an epoch is data.learn_from.count patches",
        f"method: learns from the teacher alone, at temperature {METHOD.temperature:g}, on CutMix",
        "selection.keep: last, as no label is learnt from, not even by choosing",
        *notes,
    )
    if any(isinstance(phase.optimizer, SGD) for phase in recipe.phases):
        notes += ("optimizer: SGD -> AdamW, as published",)
    return Fitted(made, notes)


def _picture(wishes: Wishes) -> Patches:
    wished = wishes.learn_from or Patches(image=PHOTO)
    if not isinstance(wished, Patches):
        raise RecipeError(
            f"single-image learns from one picture and {wished.source} may hold many; give a "
            f"picture with --from, or learn from all with --method funmatch"
        )
    return wished


def _extrapolating(phase: Phase, size: int) -> Phase:
    data, optimizer = phase.data, phase.optimizer
    if isinstance(optimizer, SGD):
        published = SMALL if size <= SMALL_PX else LARGE
        optimizer = replace(published, lr=published.lr_for(data.batch_size / BATCH))
    data = replace(data, augment=_augment(data, size), views=())
    return replace(phase, data=data, method=METHOD, optimizer=optimizer)


def _augment(data: Data, size: int) -> Augment:
    flip = data.augment.flip
    if size <= SMALL_PX:
        return Augment(crop=PadCrop(padding=size // 8), flip=flip, mixing=Mixing(cutmix=0.25))
    # colours cannot be changed where there is alpha
    large = COLOURS if data.preprocess.channels != 4 else Augment()
    return replace(large, flip=flip, mixing=Mixing(cutmix=1.0))
