"""The methods that have a name; imports no torch until one is used."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from vertebra.lookup import find

if TYPE_CHECKING:
    from vertebra.recipes.fit import Fitted
    from vertebra.recipes.recipe import Recipe
    from vertebra.recipes.ways.wishes import Wishes


class Way(NamedTuple):
    """A method, as `vertebra methods` lists it.

    module: beside this one; its `adapt` makes any recipe learn so.
    use:    when to.
    cost:   of a step, in those of plain supervised training.
    """

    module: str
    use: str
    cost: str
    source: str


METHODS: Mapping[str, Way] = {
    "supervised": Way(
        "supervised",
        "with labels: the default",
        "1",
        "Bag of Tricks for Image Classification (2019)",
    ),
    "gradient-tampering": Way(
        "gradient_tampering",
        "with labels, many images: a network that does not fit even its training images",
        "1",
        "Softmax Gradient Tampering (2021)",
    ),
    "cosub": Way(
        "cosub",
        "with labels, time to spare: two submodels of one network teach each other",
        "2",
        "Co-training 2^L Submodels for Visual Recognition (2023)",
    ),
    "co-training": Way(
        "co_training",
        "with labels: the cost of one network, spent on several small ones that learn to agree",
        "1, and each image is prepared once for each network",
        "Divide and Co-training (2022)",
    ),
    "mixskd": Way(
        "mixskd",
        "with labels, time to spare: a network and branches of it learn from mixed images",
        "3 to 5, and over twice the memory",
        "MixSKD: Self-Knowledge Distillation from Mixup (2022)",
    ),
    "noisy-labels": Way(
        "noisy_labels",
        "with labels, many of them wrong or missing: off the web, or guessed",
        "1",
        "Revisiting Unreasonable Effectiveness of Data in Deep Learning Era (2017)",
    ),
    "kd": Way(
        "kd",
        "a finished run on the same classes, and labels: half of each, also for short runs",
        "1, and the teacher's forward",
        "Distilling the Knowledge in a Neural Network (2015)",
    ),
    "funmatch": Way(
        "funmatch",
        "a finished run on the same classes, and patience: the best for a small network",
        "1, and the teacher's forward; over 300 epochs or more",
        "Knowledge Distillation: A Good Teacher Is Patient and Consistent (2022)",
    ),
    "single-image": Way(
        "single_image",
        "a finished run, and no images: patches of one picture are enough to copy much of it",
        "1, and the teacher's forward; over 200 epochs or more",
        "The Augmented Image Prior (2023)",
    ),
    "fixmatch": Way(
        "fixmatch",
        "few labels and many images without, of the same kind: the network labels them as it goes",
        "15: beside each labelled image seven others, in two versions",
        "FixMatch (2020)",
    ),
    "noisy-student": Way(
        "noisy_student",
        "labels, and more images without: a teacher labels them once, a noised student learns all",
        "4: three images beside each labelled one; and the teacher first, unless there is a run",
        "Self-training with Noisy Student (2020)",
    ),
    "arch-net": Way(
        "arch_net",
        "a finished run of a plain ResNet, no labels: the same network for any accelerator",
        "3 to 5, and the teacher's forward",
        "Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021)",
    ),
    "byol": Way(
        "byol",
        "no labels: a network learns to foretell its slow copy's view of another crop; pretraining",
        "3: two versions of each image, and the copy's forward; over 100 epochs or more",
        "Bootstrap Your Own Latent (2020)",
    ),
    "simclr": Way(
        "simclr",
        "no labels, large batches: of all images a network finds each one's other version",
        "2: two versions of each image; over 100 epochs or more",
        "A Simple Framework for Contrastive Learning of Visual Representations (2020)",
    ),
}


def learn(recipe: "Recipe", method: str, wishes: "Wishes") -> "Fitted":
    """Returns the recipe made to learn by the named method, with a sentence for each change.

    Raises:
        NameLookupError: no such method; the message offers the nearest name.
        RecipeError: the recipe or what was given does not suit the method.
    """
    way = find(METHODS, method, kind="method")
    module = import_module(f"vertebra.recipes.ways.{way.module}")
    return module.adapt(recipe, wishes)
