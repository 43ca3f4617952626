"""`vertebra distill`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import UseAppendAction

from vertebra.cli.flags import require_known, require_processes, shown
from vertebra.cli.training import TrainingFlags, train
from vertebra.errors import NameLookupError, RecipeError

SHARED = ("data", "seed", "device", "precision", "workers", "compile", "download", "devices")
"""Flags that a teacher takes over from its student."""


@dataclass(frozen=True, kw_only=True)
class Arguments(TrainingFlags):
    """Train a small network to answer as a larger one does, which is a finished run.

    Use it when the network that you can deploy is smaller than the one that you can train, or when
    you have a trained network and few labels or none. A step costs that of the student and a
    forward pass of the teacher; funmatch wants hundreds of epochs and pays for them.

    funmatch: no labels, the same crops and mixtures for both, patience; Knowledge Distillation: A
    Good Teacher Is Patient and Consistent (2022). kd: labels too, for short runs; Distilling the
    Knowledge in a Neural Network (2015). single-image: patches of one picture in place of images,
    200 epochs and more; The Augmented Image Prior (2023). Others: `vertebra methods`.
    """

    model: Annotated[str | None, shown("NAME", name="student", also=("--model",))] = None
    """The student: a named model, see `vertebra models`; default is the recipe's."""
    teacher: Annotated[UseAppendAction[tuple[str, ...]], shown("RUN|NAME")] = ()
    """A finished run on the same classes; repeatable. A model's name, or timm/NAME, is first
    trained on DATA by the recipe that suits it, into a folder beside the student's."""
    teacher_pretrained: Annotated[bool, shown()] = False
    """Such a teacher starts from the published weights that its name stands for."""
    teacher_epochs: Annotated[float | None, shown("N")] = None
    """Passes over the training images of such a teacher."""
    method: Annotated[str | None, shown("NAME")] = None
    """funmatch, kd, single-image or arch-net, see `vertebra methods`; default is what the recipe
    says, else funmatch."""

    @property
    def usual_method(self) -> str:
        """How to learn if nothing is said."""
        return "funmatch"


def run(arguments: Arguments) -> int:
    """Trains the teachers that are not there yet, then the student; returns the exit code."""
    from vertebra.records import RunDirectory

    if not arguments.teacher:
        raise RecipeError(
            "a student needs a teacher; give a finished run as --teacher RUN, or the name of a "
            "model that is to be trained first"
        )
    require_processes(arguments.devices)
    to_train = [each for each in arguments.teacher if _is_model(each)]
    runs = tuple(each for each in arguments.teacher if each not in to_train)
    require_known(replace(arguments, teacher=runs))
    out = arguments.out or RunDirectory.next(arguments.data or "digits").path
    trained: dict[str, str] = {}
    for number, name in enumerate(to_train, 1):
        place = out.with_name(f"{out.name}-teacher{number if number > 1 else ''}")
        trained[name] = str(place)
        print(f"first the teacher, {name}, into {place}\n", flush=True)
        code = train(_teacher(arguments, name, place), command="train")
        if code:
            return code
        print(f"\nnow its student, into {out}\n", flush=True)
    teachers = tuple(trained.get(each, each) for each in arguments.teacher)
    return train(replace(arguments, teacher=teachers, out=out), command="distill")


def _is_model(teacher: str) -> bool:
    """Returns whether a teacher is a model's name; a folder of that name is meant first.

    Raises:
        NameLookupError: it is neither a run nor a model.
        CheckpointError: it is a path without a run.
    """
    from vertebra.models.shelf import NAMESPACE, find_entry
    from vertebra.records import RunDirectory

    is_path = Path(teacher).exists() or ("/" in teacher and not teacher.startswith(f"{NAMESPACE}/"))
    if is_path:
        RunDirectory(Path(teacher)).require()
        return False
    try:
        find_entry(teacher)
    except NameLookupError as error:
        raise NameLookupError(f"{teacher} is no run directory, and no model: {error}") from error
    return True


def _teacher(arguments: Arguments, name: str, place: Path) -> TrainingFlags:
    """Returns the flags of the teacher's own run."""
    return TrainingFlags(
        model=name,
        out=place,
        pretrained=arguments.teacher_pretrained,
        epochs=arguments.teacher_epochs,
        **{field: getattr(arguments, field) for field in SHARED},
    )
