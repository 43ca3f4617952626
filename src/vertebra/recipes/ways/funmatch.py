"""Learning a finished run's function from mixed images, without labels, for a long time.

Source: Knowledge Distillation: A Good Teacher Is Patient and Consistent (2022), and its authors'
code; temperature, rate and decay are those of 10,000 epochs of Flowers and of 3,000 of Pets.
Differs: flips and the length of the schedule stay those of the recipe. The authors' decay is not
multiplied by the rate and AdamW's is, so ours is theirs divided by the rate.
"""

from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.crops import RandomResizedCrop
from vertebra.data.mixing import Mixing
from vertebra.engine.optimizers import SGD, AdamW
from vertebra.methods.distill import DistillSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.ways.taught import change_phases, taught_by
from vertebra.recipes.ways.wishes import Wishes

TEMPERATURE = 10.0
OPTIMIZER, BATCH = AdamW(lr=3e-3, weight_decay=0.1), 512
CROP = RandomResizedCrop(scale=(0.05, 1.0))
CLIP_NORM = 1.0

PATIENT_EPOCHS = 300
"""From about here on mixing pays, on ImageNet."""


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe with nothing but a teacher to learn from: crops, flips, mixup, Adam.

    Raises:
        RecipeError: there is no teacher, or something was given that it has no use for.
        CheckpointError: the teacher is no run.
    """
    wishes.refuse_all_but("funmatch", "teachers", "learn_from")
    made = change_phases(recipe, _patient, "funmatch")
    made = replace(made, selection=replace(recipe.selection, keep="last"))
    notes = [
        f"method: learns from the teacher alone, at temperature {TEMPERATURE:g}, on crops, flips "
        f"and mixup of weights from 0 to 1; gradients clipped at {CLIP_NORM:g}",
        "selection.keep: last, as no label is learnt from, not even by choosing",
        "length: patience pays, on ImageNet from some "
        f"{PATIENT_EPOCHS} epochs on; below 100 try --method kd too",
    ]
    if any(isinstance(phase.optimizer, SGD) for phase in recipe.phases):
        notes.insert(1, "optimizer: SGD -> AdamW, as published")
    return Fitted(taught_by(made, wishes), tuple(notes))


def _patient(phase: Phase) -> Phase:
    data, optimizer = phase.data, phase.optimizer
    if isinstance(optimizer, SGD):
        lr = OPTIMIZER.lr_for(data.batch_size / BATCH)
        optimizer = replace(OPTIMIZER, lr=lr)
    augment = Augment(crop=CROP, flip=data.augment.flip, mixing=Mixing(mixup=1.0))
    return replace(
        phase,
        data=replace(data, augment=augment),
        method=DistillSpec(temperature=TEMPERATURE),
        optimizer=optimizer,
        clip_norm=CLIP_NORM,
    )
