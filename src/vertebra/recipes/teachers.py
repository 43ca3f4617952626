"""The finished runs that a phase learns from: looked at before anything is trained, then loaded,
and asked where they answer once for all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vertebra.data.images import Split, listed
from vertebra.data.preprocess import Preprocess
from vertebra.engine import checkpoint
from vertebra.engine.distributed import World
from vertebra.errors import CheckpointError, DataError, RecipeError
from vertebra.methods.guidance import Guidance, Taught, Teacher
from vertebra.recipes.codec import from_data
from vertebra.recipes.deploy import Deployed, load_run
from vertebra.recipes.materials import evaluation_batches
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.records import RunDirectory, read_json


def require_teachers(phase: Phase, classes: Sequence[str]) -> None:
    """Looks at the runs that the phase learns from, as far as needs no weights.

    Raises:
        RecipeError: there are none, and the method learns from some.
        CheckpointError: one is missing or unfinished.
        DataError: one knows other classes, or images of other channels.
    """
    if isinstance(phase.method, Taught) and not phase.method.teachers:
        raise RecipeError(
            f"{type(phase.method).__name__} has no teachers; give a finished run, as --teacher RUN"
        )
    for where in (*_named(phase), *_labellers(phase)):
        place = RunDirectory(Path(where)).require()
        if not checkpoint.exists(place.checkpoints / "best"):
            raise CheckpointError(
                f"the teacher {where} holds no selected weights yet; "
                f"finish it with `vertebra resume {where}`"
            )
        _require_classes(where, read_json(place.classes), classes)
    for where in _named(phase):
        _require_channels(input_of(where), phase.data.preprocess)


def input_of(where: str) -> Preprocess:
    """Returns what the images of a run were made.

    Raises:
        CheckpointError: there is no run.
    """
    place = RunDirectory(Path(where)).require()
    return from_data(Preprocess, read_json(place.preprocess), path="preprocess")


def guide(phase: Phase, classes: Sequence[str], *, device: torch.device) -> Guidance:
    """Returns the teachers of the phase on `device`, none where its method has none.

    Raises:
        CheckpointError, DataError: as `require_teachers`, or a file of a run is broken.
    """
    return Guidance(
        tuple(_load(where, phase.data.preprocess, classes, device) for where in _named(phase))
    )


def ask(
    guidance: Guidance, recipe: Recipe, phase: Phase, split: Split, *, world: World
) -> Guidance:
    """Returns the teachers with their answers on `split`, where the method has them asked once.

    They see the centre of each image, in their own size. Each process asks about its share, and all
    get all; who asks again, as after an interruption, gets the same to the bit.
    """
    if not (isinstance(phase.method, Taught) and phase.method.asks_once):
        return guidance
    answers = [_answers(each, recipe, phase, split, world=world) for each in guidance.teachers]
    return guidance._replace(answers=torch.stack(answers))


@torch.no_grad()
def _answers(
    teacher: Teacher, recipe: Recipe, phase: Phase, split: Split, *, world: World
) -> Tensor:
    """Returns the logits of one teacher: [n, K]."""
    student = phase.data.preprocess
    own = replace(student, image_size=teacher.image_size or student.image_size)
    seen = replace(phase, data=replace(phase.data, preprocess=own))
    device = teacher.order.device
    answers = torch.zeros(len(split), len(teacher.order), device=device)
    with recipe.execution.autocast(device):
        for batch in evaluation_batches(recipe, seen, split, device=device, world=world):
            answers[batch.index] = teacher(batch.images).float()
    return world.total(answers)


def _named(phase: Phase) -> tuple[str, ...]:
    return phase.method.teachers if isinstance(phase.method, Taught) else ()


def _labellers(phase: Phase) -> tuple[str, ...]:
    """Returns the run that labels the images beside, if one does."""
    labels = phase.data.beside and phase.data.beside.labels
    return (labels.teacher,) if labels and labels.teacher else ()


def _load(
    where: str, preprocess: Preprocess, classes: Sequence[str], device: torch.device
) -> Teacher:
    run = load_run(where, device=str(device), keeps_memory=False)
    _require_classes(where, run.classes, classes)
    teacher = as_teacher(run, preprocess, classes)
    run.execution.place(teacher, device)
    return teacher


def as_teacher(run: Deployed, preprocess: Preprocess, classes: Sequence[str]) -> Teacher:
    """Returns the run as a teacher of a student whose images are scaled as `preprocess` says.

    Raises:
        DataError: its images have other channels.
    """
    theirs = run.preprocess
    _require_channels(theirs, preprocess)
    mean, std, own_mean, own_std = (
        torch.tensor(values).view(-1, 1, 1)
        for values in (preprocess.mean, preprocess.std, theirs.mean, theirs.std)
    )
    places = {name: place for place, name in enumerate(run.classes)}
    return Teacher(
        run.model,
        scale=std / own_std,
        shift=(mean - own_mean) / own_std,
        order=torch.tensor([places[name] for name in classes]),
        image_size=theirs.image_size,
    )


def _require_channels(theirs: Preprocess, preprocess: Preprocess) -> None:
    if theirs.channels != preprocess.channels:
        raise DataError(
            f"the teacher takes images of {theirs.channels} channels and the student of "
            f"{preprocess.channels}; give both the same"
        )


def _require_classes(where: str, found: Sequence[str], expected: Sequence[str]) -> None:
    if not expected:
        raise DataError(
            f"the teacher {where} names classes and the images have none to judge by; give the "
            f"data set that it was trained on, and these images as those to learn from, with --from"
        )
    if set(found) != set(expected):
        raise DataError(
            f"the teacher {where} knows the classes {listed(found)} and the images have "
            f"{listed(expected)}; give a teacher that was trained on the same classes"
        )
