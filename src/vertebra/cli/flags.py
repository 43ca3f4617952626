"""The flags that `train` and `plan` share: which recipe, changed how."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg


@dataclass(frozen=True, kw_only=True)
class RecipeFlags:
    """Flags that choose and change a recipe; what is not given stays as the recipe says."""

    data: Annotated[Positional[str | None], arg(metavar="DATA")] = None
    """A folder with a folder per class (with or without train/val/test), a .zip or .tar of one, a
    CSV or TSV manifest (path, label, split), or digits, cifar10, cifar100. Nothing means digits."""
    recipe: Annotated[str | None, arg(metavar="NAME")] = None
    """A named recipe (see `vertebra recipes`), a recipe.json, or a run directory."""
    model: Annotated[str | None, arg(metavar="NAME")] = None
    """A named model, see `vertebra models`."""
    epochs: Annotated[float | None, arg(metavar="N")] = None
    """Passes over the training images."""
    image_size: Annotated[int | None, arg(metavar="PX")] = None
    """Side of the square images the network sees."""
    batch_size: Annotated[int | None, arg(metavar="N")] = None
    """Images in an update; the learning rate moves with it unless --lr is given."""
    lr: Annotated[float | None, arg(metavar="RATE")] = None
    """Peak learning rate."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Decides weights, order of the images and augmentation."""
    device: Annotated[str | None, arg(metavar="NAME")] = None
    """auto, cpu, cuda, cuda:1 or mps."""
    precision: Literal["fp32", "bf16"] | None = None
    """bf16 is autocast; weights stay fp32."""
    workers: Annotated[int | None, arg(metavar="N")] = None
    """Processes that decode images."""
    compile: bool = False
    """Compile the network; slower to start, faster to run."""
    set: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="PATH=VALUE")] = ()
    """Any value of the recipe, as optimizer.weight_decay=1e-4; repeatable."""
    download: bool = False
    """Allow a named data set (cifar10, cifar100) to be downloaded when its file is not here."""
