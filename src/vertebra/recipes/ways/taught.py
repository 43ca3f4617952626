"""What the ways of learning from finished runs share: who teaches, and what a teacher sees."""

from collections.abc import Callable
from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.patches import Patches
from vertebra.data.unlabelled import Unlabelled
from vertebra.data.views import View
from vertebra.errors import RecipeError
from vertebra.methods.distill import DistillSpec
from vertebra.methods.guidance import Taught
from vertebra.methods.supervised import SupervisedSpec
from vertebra.recipes.recipe import Data, Phase, Recipe
from vertebra.recipes.teachers import input_of
from vertebra.recipes.ways.arch_net import adapt as adapt_arch_net
from vertebra.recipes.ways.arch_net import is_arch_net
from vertebra.recipes.ways.wishes import Wishes


def is_taught(recipe: Recipe) -> bool:
    """Returns whether a phase learns from teachers already."""
    return any(isinstance(phase.method, Taught) for phase in recipe.phases)


def change_phases(recipe: Recipe, change: Callable[[Phase], Phase], method: str) -> Recipe:
    """Returns the recipe with each phase changed that learns to name classes.

    Raises:
        RecipeError: there is none.
    """
    naming = [isinstance(phase.method, SupervisedSpec | DistillSpec) for phase in recipe.phases]
    if not any(naming):
        raise RecipeError(
            f"{method} learns to name classes and no phase of recipe {recipe.name!r} does; choose "
            f"a recipe that learns from labels, such as small"
        )
    pairs = zip(recipe.phases, naming, strict=True)
    return replace(recipe, phases=tuple(change(each) if is_so else each for each, is_so in pairs))


def taught_by(recipe: Recipe, wishes: Wishes) -> Recipe:
    """Returns the recipe with the teachers that are wished for, in each phase that learns from
    some, and with the images that are to be learnt from.

    A teacher of another image size than the student's sees each crop in its own, mixed alike; not
    under CutMix, whose boxes would not be the same.

    Raises:
        RecipeError: nobody teaches, or something is wished for that has no use.
        CheckpointError: a teacher is no run.
    """
    if is_arch_net(recipe):  # whose model has to be that of its teacher
        return adapt_arch_net(recipe, wishes).recipe
    wishes.refuse_all_but(recipe.name, "teachers", "learn_from")
    if not wishes.teachers:
        methods = [phase.method for phase in recipe.phases]
        known = [each.teachers for each in methods if isinstance(each, Taught)]
        wishes = wishes._replace(teachers=known[0])
    sizes = teacher_sizes(wishes, recipe.name)
    phases = tuple(
        _taught(phase, wishes, sizes) if isinstance(phase.method, Taught) else phase
        for phase in recipe.phases
    )
    return replace(recipe, phases=phases)


def teacher_sizes(wishes: Wishes, method: str) -> tuple[int, ...]:
    """Returns the image sizes of the teachers, each once.

    Raises:
        RecipeError: no teacher is wished for.
        CheckpointError: one is no run.
    """
    if not wishes.teachers:
        raise RecipeError(f"{method} learns from a finished run; give one with --teacher RUN")
    return tuple(sorted({input_of(where).image_size for where in wishes.teachers}))


def _taught(phase: Phase, wishes: Wishes, sizes: tuple[int, ...]) -> Phase:
    data = phase.data
    others = [view for view in data.views if view.augment is not None]
    paired = [] if has_cutmix(data.augment) else [View(image_size=size) for size in sizes]
    data = replace(data, views=(*others, *paired))
    if wishes.learn_from is not None:
        data = replace(data, learn_from=_images(wishes.learn_from, data))
    return replace(phase, data=data, method=replace(phase.method, teachers=wishes.teachers))


def _images(wished: Unlabelled | Patches, data: Data) -> Unlabelled | Patches:
    """Returns the images that are wished for; patches in the size that is seen, and as many as the
    recipe has if it has some."""
    if isinstance(wished, Patches) and isinstance(data.learn_from, Patches):
        wished = replace(data.learn_from, image=wished.image)
    if isinstance(wished, Patches):
        wished = replace(wished, size_px=data.preprocess.image_size)
    return wished


def has_cutmix(augment: Augment) -> bool:
    """Returns whether images are mixed by boxes."""
    return augment.mixing is not None and augment.mixing.cutmix > 0
