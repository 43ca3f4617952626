"""A finished run, ready for use: its selected weights, its class names and its preprocessing."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vertebra.contracts import Classifier
from vertebra.data.preprocess import Preprocess
from vertebra.engine import checkpoint
from vertebra.engine.execution import Execution
from vertebra.errors import CheckpointError
from vertebra.recipes.codec import from_data
from vertebra.recipes.materials import build_model
from vertebra.recipes.recipe import Recipe
from vertebra.records import RunDirectory, read_json


@dataclass(frozen=True)
class Deployed:
    """A model in eval mode with all it needs to name what is in a file.

    classes: none where it was trained on images without; its head then means nothing.
    """

    model: Classifier
    classes: tuple[str, ...]
    preprocess: Preprocess
    recipe: Recipe
    execution: Execution
    device: torch.device

    def require_classes(self) -> None:
        """Checks that its answers mean something.

        Raises:
            CheckpointError: it learnt from images without classes.
        """
        if not self.classes:
            raise CheckpointError(
                "the run knows no classes, as it learnt from images without; judge its features "
                "with `vertebra probe RUN DATA`, or teach it some with `vertebra train DATA "
                "--weights RUN`"
            )


def load_run(
    directory: Path | str, *, device: str | None = None, keeps_memory: bool = True
) -> Deployed:
    """Returns the selected model of a run; `device` None takes the run's own.

    keeps_memory: this process keeps what it frees from now on, see `Execution.keep_memory`; False
                  where the caller says when.

    Raises:
        CheckpointError: there is no run, it holds no weights yet, or a file of it is broken.
        DeviceError: the device is not there.
    """
    place = RunDirectory(Path(directory)).require()
    recipe: Recipe = from_data(Recipe, read_json(place.recipe))
    classes = tuple(read_json(place.classes))
    best = place.checkpoints / "best"
    if not checkpoint.exists(best):
        raise CheckpointError(
            f"{directory} holds no selected weights yet; "
            f"continue it with `vertebra resume {directory}`"
        )
    model = build_model(recipe, max(1, len(classes)))
    try:
        model.load_state_dict(checkpoint.load(best).tensors["model"])
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"the weights in {best} do not fit the recipe beside them; train anew"
        ) from error
    execution = replace(recipe.execution, device=device or recipe.execution.device)
    target = execution.resolve()
    execution.settle(target)
    if keeps_memory:
        execution.keep_memory(target)
    execution.place(model, target)
    return Deployed(
        model=model.eval(),
        classes=classes,
        preprocess=from_data(Preprocess, read_json(place.preprocess), path="preprocess"),
        recipe=recipe,
        execution=execution,
        device=target,
    )
