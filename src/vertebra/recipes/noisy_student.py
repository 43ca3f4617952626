"""EfficientNet-B0 taught by itself, and ResNet-RS-152 taught by a run, on labels and on a pool.

Source: Self-training with Noisy Student improves ImageNet classification (2020), with the settings
of the released code for B0: batch 4096, 350 epochs for the teacher and twice as many for the
student, one image of the pool for each labelled one, up to 130,000 of a class. Revisiting ResNets
(2021), section 7.3, for the second.
Differs: for B0, SGD with momentum at 0.1 for 256 images and a cosine take the place of RMSProp at
0.016 and steps of 0.97. The published teachers saw 300 million images; which pool is yours to say.
For ResNet-RS the ratio of the batch, soft labels, and 224 px are ours: the paper says that pool and
labels are those of Noisy Student, with EfficientNet-L2 (88.4%) as the teacher, that labelled images
are learnt from at once, and that nothing else changes.
"""

from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.beside import Beside, PseudoLabels
from vertebra.data.preprocess import Preprocess
from vertebra.data.unlabelled import Unlabelled
from vertebra.duration import epochs
from vertebra.engine.averaging import Averaging
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.methods.noisy_student import NoisyStudentSpec
from vertebra.methods.supervised import CrossEntropy, SupervisedSpec
from vertebra.models.timm import TimmSpec
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection
from vertebra.recipes.resnet_rs import resnet_rs

PER_CLASS = 130_000


def noisy_student(rounds: int = 1) -> Recipe:
    """Returns EfficientNet-B0 at 224 px, and after it so many students, each taught by the one
    before."""
    teacher = Phase(
        data=Data(
            source="imagenet",
            batch_size=4096,
            preprocess=Preprocess(image_size=224, interpolation="bicubic"),
        ),
        method=SupervisedSpec(loss=CrossEntropy(smoothing=0.1)),
        optimizer=SGD(lr=1.6, momentum=0.9, nesterov=True, weight_decay=1e-5),
        schedule=Cosine(warmup=epochs(5)),
        length=epochs(350),
        averaging=Averaging(decay=0.9999),
    )
    pool = Beside(
        images=Unlabelled(source="PATH"), ratio=1, labels=PseudoLabels(per_class=PER_CLASS)
    )
    student = replace(
        teacher,
        data=replace(teacher.data, beside=pool),
        method=NoisyStudentSpec(),
        length=epochs(700),
        takes="nothing",
    )
    return Recipe(
        name="noisy-student" if rounds == 1 else f"noisy-student-{rounds}",
        source="Noisy Student (2020), section 3 and the released code",
        expects=Expectation(
            figure="78.1% top-1, ImageNet and JFT, B0 taught by B0; 77.3% alone (published)",
            cost=f"{350 + 1400 * rounds} epochs of ImageNet, and one look at the pool a round",
        ),
        model=TimmSpec(name="efficientnet_b0", stochastic_depth=0.2),
        dropout=0.2,
        phases=(teacher, *[student] * rounds),
        selection=Selection(keep="last"),
    )


def resnet_rs_semi() -> Recipe:
    """Returns ResNet-RS-152 at 224 px, taught by a run as well; give it with --teacher."""
    plain = resnet_rs(152, 224)
    (phase,) = plain.phases
    pool = Beside(
        images=Unlabelled(source="PATH"),
        ratio=3,
        augment=Augment(rand_augment=phase.data.augment.rand_augment),
        labels=PseudoLabels(teacher="RUN", per_class=PER_CLASS),
    )
    student = replace(phase, data=replace(phase.data, beside=pool), method=NoisyStudentSpec())
    return replace(
        plain,
        name="resnet-rs-semi",
        source="Revisiting ResNets (2021), section 7.3",
        expects=Expectation(
            figure="86.2% top-1, ImageNet and JFT, taught by EfficientNet-L2 (published)",
            cost="350 epochs of ImageNet, four images for each labelled one",
        ),
        phases=(student,),
    )
