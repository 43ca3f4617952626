"""Two small networks co-trained in the place of a large one, on ImageNet.

Source: Towards Better Accuracy-efficiency Trade-offs: Divide and Co-training (2022), the runs of
120 epochs, with the settings of its code.
Differs: RandAugment of two operations takes the place of AutoAugment. Erasing is that of its paper
and not a square.
"""

from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.erase import Erase
from vertebra.data.mixing import Mixing
from vertebra.data.randaugment import RandAugment
from vertebra.data.views import View
from vertebra.duration import epochs
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.methods.co_training import CoTrainingSpec
from vertebra.methods.supervised import CrossEntropy
from vertebra.models.divide import DividedSpec
from vertebra.models.ensemble import EnsembleSpec
from vertebra.models.resnet import NAMED
from vertebra.models.specs import ModelSpec
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def co_training() -> Recipe:
    """Returns ResNeXt-101 (64x4d) divided into two of 32 groups, 120 epochs."""
    return _recipe(
        "co-training",
        DividedSpec(whole=NAMED["resnext101_64x4d"], networks=2),
        figure="82.13% top-1, ImageNet at 224 px; 81.57% undivided (published)",
    )


def co_training_wide() -> Recipe:
    """Returns two ResNet-50, twice as wide in their blocks, for one three times as wide."""
    return _recipe(
        "co-training-wide",
        EnsembleSpec(member=replace(NAMED["resnet50"], group_width=128), networks=2),
        figure="81.42% top-1, ImageNet at 224 px; 80.74% undivided (published)",
    )


def _recipe(name: str, model: ModelSpec, *, figure: str) -> Recipe:
    augment = Augment(
        rand_augment=RandAugment(pool="torchvision", count=2, magnitude=9),
        erase=Erase(),
        mixing=Mixing(mixup=0.2),
    )
    return Recipe(
        name=name,
        source="Divide and Co-training (2022), ImageNet",
        expects=Expectation(figure=figure, cost="120 epochs of ImageNet, each image twice"),
        model=model,
        phases=(
            Phase(
                data=Data(
                    source="imagenet",
                    batch_size=256,
                    augment=augment,
                    views=(View(augment=replace(augment, mixing=None)),),
                ),
                method=CoTrainingSpec(loss=CrossEntropy(smoothing=0.1), warmup=60 / 120),
                optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
                schedule=Cosine(warmup=epochs(5), final=1e-4),
                length=epochs(120),
            ),
        ),
        selection=Selection(keep="last"),
    )
