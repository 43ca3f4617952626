"""Learning from labels, and from what a teacher says of images without.

Source: Self-training with Noisy Student improves ImageNet classification (2020), section 2 and the
released code: soft labels of images that the teacher is sure of to 0.3, balanced, three beside each
labelled one; a student with RandAugment, dropout and stochastic depth, as in EfficientNet-B0.
Differs: every class gets an even share of the images, as in the paper's runs on SVHN. Each round
filters anew, there the images of the first round are labelled again. The magnitude of RandAugment
is that of SVHN, and grows with the network there. A student of pretrained weights goes on from its
teacher.
"""

from dataclasses import replace
from typing import Any

from vertebra.data.augment import Augment
from vertebra.data.beside import Beside, PseudoLabels
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.data.unlabelled import Unlabelled
from vertebra.methods.noisy_student import NoisyStudentSpec
from vertebra.methods.supervised import LossSpec
from vertebra.models.specs import network_in
from vertebra.models.timm import TimmSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.joint import joined, learns_labels_last, require_pool, sole_teacher
from vertebra.recipes.ways.wishes import Wishes

RATIO = 3
DROPOUT = STOCHASTIC_DEPTH = 0.2
OPERATIONS = RandAugment(pool="tf", count=2, magnitude=5, reference_px=224)


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe with a student in its last phase, and if no teacher is given, with a phase
    after it in which it teaches a student.

    Raises:
        RecipeError: its last phase is not supervised, the images without labels are missing, or
            something was given that it has no use for.
    """
    wishes.refuse_all_but("noisy-student", "unlabelled", "teachers")
    if isinstance(recipe.phases[-1].method, NoisyStudentSpec):
        return Fitted(joined(recipe, wishes), ())
    _, method = learns_labels_last(recipe, "noisy-student")
    pool, teacher = require_pool(wishes, "noisy-student"), sole_teacher(wishes, "noisy-student")
    noisy, notes = _dropping(recipe)
    last = noisy.phases[-1]
    student = student_of(last, method.loss, pool, teacher=teacher)
    if student.data.augment != last.data.augment:
        notes.append(f"rand_augment: {OPERATIONS.count} operations on the student's images")
    if teacher is not None:
        notes.append(f"data.beside: {RATIO} images for each labelled one, labelled by {teacher}")
        return Fitted(replace(noisy, phases=(*noisy.phases[:-1], student)), tuple(notes))
    is_fresh = recipe.pretrained is None and len(recipe.phases) == 1
    student = replace(student, takes="nothing" if is_fresh else "model")
    whence = "a fresh one" if is_fresh else "which goes on from it"
    notes.append(f"phases: what was the last one is the teacher; then a student, {whence}")
    return Fitted(replace(noisy, phases=(*noisy.phases, student)), tuple(notes))


def student_of(
    phase: Phase, loss: LossSpec, pool: Unlabelled | None, *, teacher: str | None = None
) -> Phase:
    """Returns the phase with `loss` on labels and on what `teacher`, or the phase before, says."""
    data = phase.data
    augment = _noised(data.augment, data.preprocess)
    beside = Beside(
        images=pool,
        ratio=RATIO,
        augment=replace(augment, mixing=None),
        labels=PseudoLabels(teacher=teacher),
    )
    return replace(
        phase,
        data=replace(data, augment=augment, beside=beside),
        method=NoisyStudentSpec(loss=loss),
    )


def _noised(augment: Augment, preprocess: Preprocess) -> Augment:
    if augment.rand_augment is not None or preprocess.channels == 4:  # they take no alpha
        return augment
    return replace(augment, rand_augment=OPERATIONS)


def _dropping(recipe: Recipe) -> tuple[Recipe, list[str]]:
    """Returns the recipe with dropout and stochastic depth where it has none and the model is ours
    and can, and a sentence for each."""
    changes: dict[str, Any] = {}
    if not recipe.dropout:
        changes["dropout"] = DROPOUT
    path, network = network_in(recipe.model)
    can_drop = "stochastic_depth" in vars(network) and not isinstance(network, TimmSpec)
    if can_drop and not vars(network)["stochastic_depth"]:
        changes[f"{path}.stochastic_depth"] = STOCHASTIC_DEPTH
    notes = [f"{path}: 0 -> {value}, noise for the student" for path, value in changes.items()]
    return vary(recipe, changes), notes
