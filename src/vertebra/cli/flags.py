"""The flags that `train` and `plan` share: which recipe, changed how; how flags look in help."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from vertebra.errors import RecipeError
from vertebra.lookup import find


def shown(
    metavar: str | None = None, *, name: str | None = None, also: tuple[str, ...] = ()
) -> Any:
    """Returns how help shows an argument: its placeholder, and its default where that says much.

    name: of the flag, where the field cannot have it; also: other flags that mean the same.
    """
    return arg(metavar=metavar, name=name, aliases=also or None, help_behavior_hint=_hint)


def _hint(default: str) -> str:
    return "" if default in ("None", "False", "") else f"(default: {default})"


_FLAGS = {"learn_from": "from"}
"""Field -> its flag, where Python keeps the word for itself."""


@dataclass(frozen=True, kw_only=True)
class RecipeFlags:
    """Flags that choose and change a recipe; what is not given stays as the recipe says."""

    data: Annotated[Positional[str | None], shown("[DATA]")] = None
    """A folder with a folder per class (with or without train, val and test above them), a .zip or
    .tar of one, a CSV or TSV manifest (path, label, split), or digits, cifar10, cifar100. Nothing
    means digits."""
    recipe: Annotated[str | None, shown("NAME")] = None
    """A named recipe (see `vertebra recipes`), a recipe.json, or a run directory."""
    model: Annotated[str | None, shown("NAME")] = None
    """A named model, see `vertebra models`."""
    pretrained: Annotated[bool, shown()] = False
    """Start from the published weights that the model's name stands for; the recipe is then
    finetune unless another is named."""
    weights: Annotated[str | None, shown("TAG|FILE|RUN")] = None
    """Start from these instead: a tag or source (see `vertebra models --pretrained`), a
    .safetensors file, or a run directory, whose model is then the default."""
    method: Annotated[str | None, shown("NAME")] = None
    """How to learn, see `vertebra methods`; default is what the recipe says."""
    teacher: Annotated[UseAppendAction[tuple[str, ...]], shown("RUN")] = ()
    """A finished run on the same classes, for a method that learns from one; repeatable."""
    unlabelled: Annotated[str | None, shown("PATH")] = None
    """Images without labels, for a method that learns from them too: a folder of images, or any
    data set."""
    learn_from: Annotated[str | None, shown("PATH", name="from")] = None
    """Images to learn from in place of DATA's, for a method that needs no labels: a folder, any
    data set, one picture to cut patches out of, or china or flower, two pictures of
    scikit-learn's. DATA is then what judges."""
    epochs: Annotated[float | None, shown("N")] = None
    """Passes over the training images."""
    image_size: Annotated[int | None, shown("PX")] = None
    """Side of the square images the network sees."""
    batch_size: Annotated[int | None, shown("N")] = None
    """Images in an update; the learning rate moves with it unless --lr is given."""
    lr: Annotated[float | None, shown("RATE")] = None
    """Peak learning rate."""
    seed: Annotated[int | None, shown("N")] = None
    """Decides weights, order of the images and augmentation."""
    device: Annotated[str | None, shown("NAME")] = None
    """One of auto, cpu, cuda, cuda:1, mps."""
    precision: Annotated[Literal["fp32", "bf16"] | None, shown()] = None
    """With bf16 the network computes in bf16 where that is safe; weights stay fp32. A named recipe
    takes bf16 by itself where that is clearly faster."""
    workers: Annotated[int | None, shown("N")] = None
    """Processes that decode images."""
    compile: Annotated[bool, shown()] = False
    """Compile the network by torch: the first step takes a minute or more. On a CPU it did not help
    where it was measured."""
    gradient_checkpointing: Annotated[bool, shown()] = False
    """Train in less memory and more time: what lies within a block is computed again for the
    backward pass. Gradients stay the same."""
    set: Annotated[UseAppendAction[tuple[str, ...]], shown("PATH=VALUE")] = ()
    """Any value of the recipe, as optimizer.weight_decay=1e-4; repeatable."""
    download: Annotated[bool, shown()] = False
    """Allow cifar10, cifar100 or named weights to be downloaded when not on this machine."""

    @property
    def usual_method(self) -> str:
        """How to learn if nothing is said."""
        return "supervised"

    @property
    def recipe_name(self) -> str:
        """The recipe that is asked for, or the default for what else is said."""
        if self.recipe is not None:
            return self.recipe
        if self.pretrained or self.weights is not None:
            return "finetune"
        return "digits" if self.data in (None, "digits") else "small"


def require_known(flags: RecipeFlags) -> None:
    """Looks up what the flags name, before torch is imported: a slip of the pen is told at once.

    Raises:
        VertebraError: a recipe, a model or a path is not there, or the recipe needs a path.
    """
    from vertebra.data.photos import PHOTOS
    from vertebra.data.sources import SHELF, require_path
    from vertebra.models.shelf import find_entry
    from vertebra.recipes.shelf import Entry, find_recipe
    from vertebra.recipes.ways.shelf import METHODS
    from vertebra.records import RunDirectory

    if flags.model is not None:
        find_entry(flags.model)
    if flags.method is not None:
        find(METHODS, flags.method, kind="method")
    for run in flags.teacher:
        RunDirectory(Path(run)).require()
    if flags.unlabelled is not None:
        require_path(flags.unlabelled)
    if flags.learn_from is not None and flags.learn_from not in (*SHELF, *PHOTOS):
        require_path(flags.learn_from, shelf=(*SHELF, *PHOTOS))
    found = find_recipe(flags.recipe_name)
    if flags.data is None and isinstance(found, Entry) and not found.has_data:
        raise RecipeError(
            f"recipe {flags.recipe_name!r} brings no images; "
            f"give yours, as `vertebra train FOLDER --recipe {flags.recipe_name}`"
        )
    if flags.weights is not None:
        _require_weights(Path(flags.weights))
    if flags.data is not None and flags.data not in SHELF:
        require_path(flags.data)


def _require_weights(path: Path) -> None:
    """Checks a path of weights, as far as it can be told from a tag."""
    from vertebra.errors import CheckpointError
    from vertebra.records import RunDirectory

    if path.is_dir():
        RunDirectory(path).require()
    elif path.suffix == ".safetensors" and not path.is_file():
        raise CheckpointError(f"{path} is missing; give a .safetensors file, a run, or a tag")


def require_processes(devices: int) -> None:
    """Checks the value of --devices.

    Raises:
        RecipeError: it is below 1.
    """
    if devices < 1:
        raise RecipeError(f"devices={devices}; give the number of processes, at least 1")


def words(flags: Any, *, positional: str = "data") -> list[str]:
    """Returns the arguments that say the same on a command line; defaults are left out.

    flags:      the dataclass of a command.
    positional: the field, a value or several, that has no flag.
    """
    first: str | tuple[str, ...] | None = getattr(flags, positional)
    said = [*first] if isinstance(first, tuple) else [] if first is None else [first]
    for field in fields(flags):
        value, name = getattr(flags, field.name), _FLAGS.get(field.name, field.name)
        flag = f"--{name.replace('_', '-')}"
        if value == field.default or field.name == positional:
            continue
        if value is True:
            said.append(flag)
        elif isinstance(value, tuple):
            said += [word for each in value for word in (flag, each)]
        else:
            said += [flag, f"{value:.15g}" if isinstance(value, float) else str(value)]
    return said
