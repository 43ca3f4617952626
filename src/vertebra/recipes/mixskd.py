"""Networks that learn from themselves on mixed images, as MixSKD was published.

Source: MixSKD: Self-Knowledge Distillation from Mixup for Image Recognition (2022), by the code of
its authors.
Differs: norms and biases do not decay. Branches are ours, see `methods/mixskd_branches.py`: two
bottlenecks for each map, about as wide as the blocks of the network itself. The labels of mixtures
count on CIFAR-100 too. Gradients are clipped, lest the self-teacher diverge. On CIFAR-100 the stem
strides, so that maps are half as fine as those of the published figure, which is the best of four
heads and of all epochs.
"""

from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.crops import PadCrop
from vertebra.data.preprocess import Preprocess
from vertebra.duration import epochs
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine, StepDecay
from vertebra.methods.mixskd import MixSKDSpec
from vertebra.methods.mixskd_branches import BranchSpec
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection

SOURCE = "MixSKD: Self-Knowledge Distillation from Mixup (2022), the code of its authors"


def imagenet() -> Recipe:
    """Returns ResNet-50 at 224 px, batch 128, for 305 epochs of a cosine."""
    return Recipe(
        name="mixskd",
        source=SOURCE,
        expects=Expectation(
            figure="78.76% top-1, ImageNet at 224 px, the best of four heads (published)",
            cost="305 epochs of ImageNet, each image twice",
        ),
        model=NAMED["resnet50"],
        phases=(
            Phase(
                data=Data(source="imagenet", batch_size=128),
                method=MixSKDSpec(mixup=0.2, branch=BranchSpec(units=2)),
                optimizer=SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=1e-4),
                schedule=Cosine(warmup=epochs(5)),
                length=epochs(305),
                clip_norm=5.0,
            ),
        ),
        selection=Selection(keep="last"),
    )


def cifar100() -> Recipe:
    """Returns ResNet-18 at 32 px, batch 64, for 205 epochs of stepwise rates."""
    return Recipe(
        name="mixskd-cifar100",
        source=SOURCE,
        expects=Expectation(
            figure="80.32% top-1, CIFAR-100, finer stem, the best of four heads (published)",
            cost="205 epochs of CIFAR-100, each image twice",
        ),
        model=replace(NAMED["resnet18"], stem_pool=None),
        phases=(
            Phase(
                data=Data(
                    source="cifar100",
                    batch_size=64,
                    preprocess=Preprocess(image_size=32, crop_fraction=1.0),
                    augment=Augment(crop=PadCrop(padding=4)),
                ),
                method=MixSKDSpec(mixup=0.4, branch=BranchSpec(units=2, inner=1.0)),
                optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
                schedule=StepDecay(milestones=(105 / 205, 155 / 205), warmup=epochs(5)),
                length=epochs(205),
                clip_norm=5.0,
            ),
        ),
        selection=Selection(keep="last"),
    )
