"""ResNet-50 with a tampered softmax gradient.

Source: Softmax Gradient Tampering (2021), later Altering Backward Pass Gradients Improves
Convergence (2021): the setup on ImageNet, and the row of ResNet-50 with a cosine and power 0.3.
Differs: the cosine ends with the last of 100 epochs, where there the last ten run at the lowest
rate; the warm-up starts near zero rather than at a thousandth of the peak.
"""

from vertebra.data.augment import Augment
from vertebra.duration import epochs
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.methods.supervised import CrossEntropy, SupervisedSpec
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def gradient_tampering() -> Recipe:
    """Returns ResNet-50, 100 epochs of SGD at batch 1024, rate 0.4, weight decay 5e-4."""
    return Recipe(
        name="gradient-tampering",
        source="Softmax Gradient Tampering (2021), ImageNet",
        expects=Expectation(
            figure="76.886% top-1, ImageNet, 76.560% without tampering (published)",
            cost="100 epochs of ImageNet",
        ),
        model=NAMED["resnet50"],
        phases=(
            Phase(
                data=Data(source="imagenet", batch_size=1024, augment=Augment()),
                method=SupervisedSpec(loss=CrossEntropy(tampering=0.3)),
                optimizer=SGD(lr=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4),
                schedule=Cosine(warmup=epochs(5)),
                length=epochs(100),
            ),
        ),
        selection=Selection(keep="last"),
    )
