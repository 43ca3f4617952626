"""The flags that `train` and `plan` share: which recipe, changed how; how flags look in help."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from vertebra.errors import RecipeError


def shown(metavar: str | None = None) -> Any:
    """Returns how help shows an argument: its placeholder, and its default where that says much."""
    return arg(metavar=metavar, help_behavior_hint=_hint)


def _hint(default: str) -> str:
    return "" if default in ("None", "False", "") else f"(default: {default})"


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
    """With bf16 the network computes in bf16 where that is safe; weights stay fp32."""
    workers: Annotated[int | None, shown("N")] = None
    """Processes that decode images."""
    compile: Annotated[bool, shown()] = False
    """Compile the network; slower to start, faster to run."""
    set: Annotated[UseAppendAction[tuple[str, ...]], shown("PATH=VALUE")] = ()
    """Any value of the recipe, as optimizer.weight_decay=1e-4; repeatable."""
    download: Annotated[bool, shown()] = False
    """Allow cifar10 or cifar100 to be downloaded when it is not on this machine."""


def require_known(flags: RecipeFlags) -> None:
    """Looks up what the flags name, before torch is imported: a slip of the pen is told at once.

    Raises:
        VertebraError: a recipe, a model or a path is not there, or the recipe needs a path.
    """
    from vertebra.data.sources import SHELF, require_path
    from vertebra.lookup import find
    from vertebra.models.shelf import SHELF as MODELS
    from vertebra.recipes.shelf import Entry, find_recipe

    if flags.model is not None:
        find(MODELS, flags.model, kind="model")
    if flags.recipe is not None:
        found = find_recipe(flags.recipe)
        if flags.data is None and isinstance(found, Entry) and not found.has_data:
            raise RecipeError(
                f"recipe {flags.recipe!r} brings no images; "
                f"give yours, as `vertebra train FOLDER --recipe {flags.recipe}`"
            )
    if flags.data is not None and flags.data not in SHELF:
        require_path(flags.data)


def require_processes(devices: int) -> None:
    """Checks the value of --devices.

    Raises:
        RecipeError: it is below 1.
    """
    if devices < 1:
        raise RecipeError(f"devices={devices}; give the number of processes, at least 1")


def words(flags: RecipeFlags) -> list[str]:
    """Returns the arguments that say the same on a command line; defaults are left out."""
    said = [] if flags.data is None else [flags.data]
    for field in fields(flags):
        value, flag = getattr(flags, field.name), f"--{field.name.replace('_', '-')}"
        if value == field.default or field.name == "data":
            continue
        if value is True:
            said.append(flag)
        elif isinstance(value, tuple):
            said += [word for each in value for word in (flag, each)]
        else:
            said += [flag, f"{value:.15g}" if isinstance(value, float) else str(value)]
    return said
