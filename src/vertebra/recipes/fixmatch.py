"""ResNet-50 on ImageNet with a tenth of its labels, the other images without.

Source: FixMatch (2020), section 4.3, with the settings of the released code for ImageNet: ratio 5,
threshold 0.7, weight 10, rate 0.1 for 256 labelled images, 3,000 epochs of them.
Differs: RandAugment has its middle magnitude and always acts; there each operation draws its own
and acts every other time.
"""

from vertebra.data.augment import Augment
from vertebra.data.beside import Beside
from vertebra.data.randaugment import RandAugment
from vertebra.data.views import View
from vertebra.duration import epochs
from vertebra.engine.averaging import Averaging
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import StepDecay
from vertebra.methods.fixmatch import FixMatchSpec
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def fixmatch() -> Recipe:
    """Returns ResNet-50 at 224 px: 1,024 labelled images and 5,120 others in an update."""
    strong = RandAugment(pool="tf", count=2, magnitude=5, reference_px=224)
    return Recipe(
        name="fixmatch",
        source="FixMatch (2020), section 4.3 and the released code",
        expects=Expectation(
            figure="71.5% top-1, ImageNet with 10% of its labels (published; not looked up again)",
            cost="3,000 epochs of a tenth of ImageNet, eleven images for each labelled one",
        ),
        model=NAMED["resnet50"],
        phases=(
            Phase(
                data=Data(
                    source="imagenet",
                    fraction=0.1,
                    batch_size=1024,
                    beside=Beside(ratio=5, views=(View(augment=Augment(rand_augment=strong)),)),
                ),
                method=FixMatchSpec(threshold=0.7, weight=10.0),
                optimizer=SGD(lr=0.4, momentum=0.9, nesterov=True, weight_decay=3e-4),
                schedule=StepDecay(
                    milestones=tuple(epochs(each) for each in (500, 1000, 1500, 2000, 2500)),
                    drop=0.1,
                    warmup=epochs(50),
                ),
                length=epochs(3000),
                averaging=Averaging(decay=0.999),
            ),
        ),
        selection=Selection(keep="last"),
    )
