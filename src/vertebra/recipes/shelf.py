"""The recipes that have a name, and reading one from a file; imports no torch until one is
loaded."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vertebra.errors import RecipeError
from vertebra.lookup import find

if TYPE_CHECKING:
    from vertebra.recipes.recipe import Recipe


class Entry(NamedTuple):
    """A function that returns a recipe, in a module beside this one, and what the recipe is.

    arguments: what the function is called with.
    has_data:  whether its images come along, so that it runs as it stands.
    """

    module: str
    function: str
    summary: str
    arguments: tuple[int, ...] = ()
    has_data: bool = False


RECIPES: Mapping[str, Entry] = {
    "digits": Entry(
        "digits", "digits", "the default without data: handwritten digits", has_data=True
    ),
    "small": Entry("small", "small", "the default for your own images: a small ResNet-RS"),
    "finetune": Entry("finetune", "finetune", "the default with --pretrained: gentle, short"),
    "linear-probe": Entry(
        "linear_probe", "linear_probe", "only the classifier learns, behind pretrained weights"
    ),
    "baseline": Entry("bag_of_tricks", "baseline", "ResNet-50 as in the ResNet paper"),
    "bag-of-tricks": Entry("bag_of_tricks", "bag_of_tricks", "ResNet-50-D, refinements stacked"),
    "gradient-tampering": Entry(
        "gradient_tampering", "gradient_tampering", "ResNet-50, a softened softmax gradient"
    ),
    "co-training": Entry("co_training", "co_training", "ResNeXt-101 divided into two networks"),
    "co-training-wide": Entry(
        "co_training", "co_training_wide", "two wide ResNet-50 that learn to agree"
    ),
    "cosub": Entry("cosub", "cosub", "DeiT III-S (of timm), two submodels teach each other"),
    "mixskd": Entry("mixskd", "imagenet", "ResNet-50, learns from itself on mixed images"),
    "mixskd-cifar100": Entry("mixskd", "cifar100", "ResNet-18 for CIFAR-100, the same"),
    "jft": Entry("jft", "jft", "ResNet-101 on web images, one sigmoid a class"),
    "funmatch": Entry("funmatch", "funmatch", "BiT-R50x1, learns from a teacher for 1,200 epochs"),
    "single-image": Entry("single_image", "single_image", "ResNet-50, a teacher and one picture"),
    "arch-net": Entry("arch_net", "arch_net", "a ResNet-18 in few bits and plain operators"),
    "byol": Entry("byol", "byol", "ResNet-50 pretrained without labels, 1000 epochs"),
    "byol-300": Entry("byol", "byol", "the same for 300 epochs", (300,)),
    "byol-100": Entry("byol", "byol", "the same for 100 epochs", (100,)),
    "byol-small": Entry("byol", "byol_small", "the default to pretrain on your own images"),
    "simclr": Entry("simclr", "simclr", "ResNet-50 pretrained without labels, for comparison"),
    "simclr-small": Entry("simclr", "simclr_small", "the same on your own images"),
    "fixmatch": Entry("fixmatch", "fixmatch", "ResNet-50, a tenth of the labels, its own answers"),
    "noisy-student": Entry(
        "noisy_student", "noisy_student", "EfficientNet-B0 (of timm) teaches a noised student"
    ),
    "noisy-student-3": Entry(
        "noisy_student", "noisy_student", "three students in a row, each teaches the next", (3,)
    ),
    "resnet-rs-semi": Entry(
        "noisy_student", "resnet_rs_semi", "ResNet-RS-152, a teacher and many more images"
    ),
    "resnet-rs": Entry("resnet_rs", "resnet_rs", "ResNet-RS, the smallest: 50 layers at 160 px"),
    "resnet-rs-101-160": Entry("resnet_rs", "resnet_rs", "101 layers at 160 px", (101, 160)),
    "resnet-rs-101-192": Entry("resnet_rs", "resnet_rs", "101 layers at 192 px", (101, 192)),
    "resnet-rs-152-192": Entry("resnet_rs", "resnet_rs", "152 layers at 192 px", (152, 192)),
    "resnet-rs-152-224": Entry("resnet_rs", "resnet_rs", "152 layers at 224 px", (152, 224)),
    "resnet-rs-152-256": Entry("resnet_rs", "resnet_rs", "152 layers at 256 px", (152, 256)),
    "resnet-rs-200-256": Entry("resnet_rs", "resnet_rs", "200 layers at 256 px", (200, 256)),
    "resnet-rs-270-256": Entry("resnet_rs", "resnet_rs", "270 layers at 256 px", (270, 256)),
    "resnet-rs-350-256": Entry("resnet_rs", "resnet_rs", "350 layers at 256 px", (350, 256)),
    "resnet-rs-350-320": Entry("resnet_rs", "resnet_rs", "350 layers at 320 px", (350, 320)),
    "resnet-rs-420-320": Entry("resnet_rs", "resnet_rs", "420 layers at 320 px", (420, 320)),
}


def find_recipe(name: str | Path) -> Entry | Path:
    """Returns the entry of a named recipe, or the file of a stored one.

    Raises:
        NameLookupError: no such name or file; the message offers the nearest name.
    """
    path = Path(name)
    for file in (path, path / "recipe.json"):
        if file.is_file():
            return file
    return find(RECIPES, str(name), kind="recipe")


def load(name: str | Path) -> "Recipe":
    """Returns a named recipe, or the one in a recipe.json or a run directory.

    Raises:
        NameLookupError: no such name or file; the message offers the nearest name.
        RecipeError: the file is no recipe; the message says where it departs from one.
    """
    found = find_recipe(name)
    if isinstance(found, Path):
        return _read(found)
    module = import_module(f"vertebra.recipes.{found.module}")
    return getattr(module, found.function)(*found.arguments)


def _read(path: Path) -> "Recipe":
    from vertebra.recipes.codec import from_data
    from vertebra.recipes.recipe import Recipe

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{path} cannot be read as JSON ({error}); "
            f"give a recipe.json, a run directory, or a name that `vertebra recipes` lists"
        ) from error
    try:
        return from_data(Recipe, data)
    except RecipeError as error:
        raise RecipeError(f"{path} is no recipe: {error}") from error
