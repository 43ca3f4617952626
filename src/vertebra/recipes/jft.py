"""ResNet-101 on web images, each with several labels of which a fifth are wrong.

Source: Revisiting Unreasonable Effectiveness of Data in Deep Learning Era (2017); the
settings as others tell them.
Differs: AdamW at the same rate, as RMSProp with momentum is not among our optimizers; updates are
made one after the other, not by 50 machines at once; a crop of 77% of the picture in place of 299
of 340 pixels. An image has the one class of its folder: there is no hierarchy to fill in.
"""

from vertebra.data.augment import Augment
from vertebra.data.crops import RandomResizedCrop
from vertebra.data.preprocess import Preprocess
from vertebra.duration import epochs
from vertebra.engine.optimizers import AdamW
from vertebra.engine.schedules import StepDecay
from vertebra.methods.logistic import Logistic
from vertebra.methods.supervised import SupervisedSpec
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection

DECAYS = 12
"""The rate is multiplied by 0.9 after every 3 of 36 million updates."""


def jft() -> Recipe:
    """Returns ResNet-101 at 299 px with one sigmoid a class, four passes, batch 32."""
    size = 299
    return Recipe(
        name="jft",
        source="Revisiting Unreasonable Effectiveness of Data in Deep Learning Era (2017)",
        expects=Expectation(
            figure="79.2% top-1, ImageNet at 299 px, fine-tuned from 300 million images "
            "(published)",
            cost="36 million updates, two months on 50 GPUs (published)",
        ),
        model=NAMED["resnet101"],
        head_bias="log_prior",
        phases=(
            Phase(
                data=Data(
                    source="PATH",
                    batch_size=32,
                    preprocess=Preprocess(
                        image_size=size, crop_fraction=size / 340, mean=(0.5,) * 3, std=(0.5,) * 3
                    ),
                    augment=Augment(crop=RandomResizedCrop(scale=(0.77, 0.78))),
                ),
                method=SupervisedSpec(loss=Logistic()),
                optimizer=AdamW(lr=1e-3, weight_decay=1e-4),
                schedule=StepDecay(
                    milestones=tuple(place / DECAYS for place in range(1, DECAYS)), drop=0.9
                ),
                length=epochs(4),
            ),
        ),
        selection=Selection(keep="last"),
    )
