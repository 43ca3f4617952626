"""ResNet-RS with its training: long, cosine, averaged, and regularised as its row of the table
says.

Source: Revisiting ResNets: Improved Training and Scaling Strategies (2021), section 4 and table 1;
settings of each row from the released configurations.
Differs: no weight decay on norms and biases at all (the code exempts norms only). Averaged
statistics follow the
code: taken from the current batch, then averaged once. The minival that selects is our own rule.
"""

from vertebra.data.augment import Augment
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.duration import epochs
from vertebra.engine.averaging import Averaging
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.methods.supervised import CrossEntropy, SupervisedSpec
from vertebra.models.resnet_rs import NAMED, Row, nearest_row
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def resnet_rs(depth: int = 50, *, image_size: int = 160) -> Recipe:
    """Returns the recipe of the published row nearest to `depth` and `image_size`.

    Batch 4096 at rate 1.6, 350 epochs, SGD with momentum 0.9, weight decay 4e-5, label smoothing
    0.1, average 0.9999.
    """
    row = nearest_row(depth, image_size)
    return Recipe(
        name="resnet-rs",
        source="Revisiting ResNets (2021), table 1 and appendix B",
        expects=Expectation(
            figure=f"{row.top1:.1%} top-1, ImageNet at {row.image_size} px (published)",
            cost="350 epochs of ImageNet",
        ),
        model=NAMED[f"resnetrs{row.depth}"],
        dropout=row.dropout,
        phases=(_phase(row),),
        selection=Selection(keep="last"),
    )


def _phase(row: Row) -> Phase:
    return Phase(
        data=Data(
            source="imagenet",
            batch_size=4096,
            preprocess=Preprocess(image_size=row.image_size, interpolation="bicubic"),
            augment=Augment(rand_augment=RandAugment(pool="tf", count=2, magnitude=row.magnitude)),
        ),
        method=SupervisedSpec(loss=CrossEntropy(smoothing=0.1)),
        optimizer=SGD(lr=1.6, momentum=0.9, nesterov=False, weight_decay=4e-5),
        schedule=Cosine(warmup=epochs(5)),
        length=epochs(350),
        averaging=Averaging(decay=0.9999),
    )
