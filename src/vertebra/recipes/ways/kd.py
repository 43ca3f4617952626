"""Learning from labels and from the answers of a finished run: plain distillation.

Source: Distilling the Knowledge in a Neural Network (2015), section 2; Bag of Tricks for Image
Classification (2019), section 5.3, for the temperature 20, and its authors' code for the half.
"""

from dataclasses import replace

from vertebra.methods.distill import DistillSpec
from vertebra.methods.supervised import SupervisedSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.ways.taught import change_phases, has_cutmix, taught_by
from vertebra.recipes.ways.wishes import Wishes

TEMPERATURE, HARD_WEIGHT = 20.0, 0.5


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe with a teacher beside its labels; its augmentation stays.

    Raises:
        RecipeError: there is no teacher, or something was given that it has no use for.
        CheckpointError: the teacher is no run.
    """
    wishes.refuse_all_but("kd", "teachers")
    made = change_phases(recipe, _taught_too, "kd")
    notes = [
        f"method: learns from the teacher at temperature {TEMPERATURE:g} and from labels, "
        f"half from each"
    ]
    if any(has_cutmix(phase.data.augment) for phase in made.phases):
        notes.append("the teacher sees images of the student's size, as CutMix mixes them")
    return Fitted(taught_by(made, wishes), tuple(notes))


def _taught_too(phase: Phase) -> Phase:
    spec = DistillSpec(temperature=TEMPERATURE, hard_weight=HARD_WEIGHT)
    if isinstance(phase.method, SupervisedSpec | DistillSpec):
        spec = replace(spec, loss=phase.method.loss)
    return replace(phase, method=spec)
