"""The finished runs that a phase learns from: looked at before anything is trained, then loaded."""

from collections.abc import Sequence
from pathlib import Path

import torch

from vertebra.data.images import listed
from vertebra.data.preprocess import Preprocess
from vertebra.engine import checkpoint
from vertebra.errors import CheckpointError, DataError
from vertebra.methods.guidance import Guidance, Taught, Teacher
from vertebra.recipes.deploy import Deployed, load_run
from vertebra.recipes.recipe import Phase
from vertebra.records import RunDirectory, read_json


def require_teachers(phase: Phase, classes: Sequence[str]) -> None:
    """Looks at the runs that the phase learns from, as far as needs no weights.

    Raises:
        CheckpointError: one is missing or unfinished.
        DataError: one knows other classes.
    """
    for where in _named(phase):
        place = RunDirectory(Path(where)).require()
        if not checkpoint.exists(place.checkpoints / "best"):
            raise CheckpointError(
                f"the teacher {where} holds no selected weights yet; "
                f"finish it with `vertebra resume {where}`"
            )
        _require_classes(where, read_json(place.classes), classes)


def guide(phase: Phase, classes: Sequence[str], *, device: torch.device) -> Guidance:
    """Returns the teachers of the phase on `device`, none where its method has none.

    Raises:
        CheckpointError, DataError: as `require_teachers`, or a file of a run is broken.
    """
    return Guidance(
        tuple(_load(where, phase.data.preprocess, classes, device) for where in _named(phase))
    )


def _named(phase: Phase) -> tuple[str, ...]:
    return phase.method.teachers if isinstance(phase.method, Taught) else ()


def _load(
    where: str, preprocess: Preprocess, classes: Sequence[str], device: torch.device
) -> Teacher:
    run = load_run(where, device=str(device))
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
    if theirs.channels != preprocess.channels:
        raise DataError(
            f"the teacher takes images of {theirs.channels} channels and the student of "
            f"{preprocess.channels}; give both the same"
        )
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
    )


def _require_classes(where: str, found: Sequence[str], expected: Sequence[str]) -> None:
    if set(found) != set(expected):
        raise DataError(
            f"the teacher {where} knows the classes {listed(found)} and the images have "
            f"{listed(expected)}; give a teacher that was trained on the same classes"
        )
