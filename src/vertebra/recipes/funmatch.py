"""A ResNet-50 that matches the function of a large teacher, for 1,200 epochs of mixed images.

Source: Knowledge Distillation: A Good Teacher Is Patient and Consistent (2022), the experiments on
ImageNet, and its authors' code.
Differs: the authors' decay, 3e-4 an update, is not multiplied by the rate and AdamW's is, so ours
is 3e-4 / 0.03.
"""

from vertebra.data.augment import Augment
from vertebra.data.crops import RandomResizedCrop
from vertebra.data.mixing import Mixing
from vertebra.data.preprocess import Preprocess
from vertebra.duration import epochs, steps
from vertebra.engine.optimizers import AdamW
from vertebra.engine.schedules import Cosine
from vertebra.methods.distill import DistillSpec
from vertebra.models.bit import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def funmatch() -> Recipe:
    """Returns BiT-R50x1 at 224 px, batch 4096, Adam at 0.03; a teacher has to be given."""
    half = (0.5, 0.5, 0.5)
    return Recipe(
        name="funmatch",
        source="A Good Teacher Is Patient and Consistent (2022), ImageNet",
        expects=Expectation(
            figure="81.5% top-1, ImageNet at 224 px, 82.3% after 9,600 epochs, of a teacher with "
            "83.0% (published)",
            cost="1,200 epochs of ImageNet, each image through teacher and student",
        ),
        model=NAMED["resnetv2_50x1_bit"],
        phases=(
            Phase(
                data=Data(
                    source="imagenet",
                    batch_size=4096,
                    preprocess=Preprocess(
                        image_size=224, mean=half, std=half, interpolation="bilinear"
                    ),
                    augment=Augment(
                        crop=RandomResizedCrop(scale=(0.05, 1.0)), mixing=Mixing(mixup=1.0)
                    ),
                ),
                method=DistillSpec(temperature=1.0),
                optimizer=AdamW(lr=0.03, weight_decay=0.01),
                schedule=Cosine(warmup=steps(5000)),
                length=epochs(1200),
                clip_norm=1.0,
            ),
        ),
        selection=Selection(keep="last"),
    )
