"""What the ways of learning from images without labels, beside labelled ones, share."""

from dataclasses import replace

from vertebra.data.unlabelled import Unlabelled
from vertebra.errors import RecipeError
from vertebra.methods.supervised import SupervisedSpec
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.ways.wishes import Wishes


def learns_labels_last(recipe: Recipe, method: str) -> tuple[Phase, SupervisedSpec]:
    """Returns the last phase and how it learns from labels.

    Raises:
        RecipeError: it does not.
    """
    last = recipe.phases[-1]
    if not isinstance(last.method, SupervisedSpec):
        raise RecipeError(
            f"{method} adds to learning from labels and the last phase of recipe {recipe.name!r} "
            f"learns by {type(last.method).__name__}; choose a recipe that is supervised, such as "
            f"small"
        )
    return last, last.method


def require_pool(wishes: Wishes, method: str) -> Unlabelled:
    """Returns the images without labels.

    Raises:
        RecipeError: none are given.
    """
    if wishes.unlabelled is None:
        raise RecipeError(
            f"{method} learns from images without labels too; give them with --unlabelled PATH"
        )
    return wishes.unlabelled


def is_joint(recipe: Recipe) -> bool:
    """Returns whether a phase learns from images beside already."""
    return any(phase.data.beside is not None for phase in recipe.phases)


def joined(recipe: Recipe, wishes: Wishes) -> Recipe:
    """Returns the recipe with the images and the teacher that are wished for, in each phase that
    learns from images beside.

    Raises:
        RecipeError: something is wished for that has no use.
    """
    wishes.refuse_all_but(recipe.name, "unlabelled", "teachers")
    teacher = sole_teacher(wishes, recipe.name)
    phases = tuple(_joined(phase, wishes.unlabelled, teacher) for phase in recipe.phases)
    if teacher is not None and not any(_teacher(phase) == teacher for phase in phases):
        raise RecipeError(f"--teacher is of no use to the recipe {recipe.name}; leave it out")
    return replace(recipe, phases=phases)


def sole_teacher(wishes: Wishes, method: str) -> str | None:
    """Returns the run that labels images, None where none is given.

    Raises:
        RecipeError: there are several.
    """
    if len(wishes.teachers) > 1:
        raise RecipeError(
            f"{method} has one teacher, which labels the images, and --teacher is given "
            f"{len(wishes.teachers)} times; give one"
        )
    return wishes.teachers[0] if wishes.teachers else None


def _teacher(phase: Phase) -> str | None:
    labels = phase.data.beside and phase.data.beside.labels
    return labels.teacher if labels else None


def _joined(phase: Phase, images: Unlabelled | None, teacher: str | None) -> Phase:
    beside = phase.data.beside
    if beside is None:
        return phase
    labels = beside.labels
    if labels is not None and labels.teacher is not None:
        labels = replace(labels, teacher=teacher or labels.teacher)
    beside = replace(beside, images=images or beside.images, labels=labels)
    return replace(phase, data=replace(phase.data, beside=beside))
