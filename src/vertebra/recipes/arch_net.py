"""The Arch-Net of a ResNet-18 with filters of 2 bits and activations of 4, as published.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors: 30,000 images of ImageNet without labels, an epoch of 8,192.
Differs: AdamW in place of Adam, whose decay of 1e-7 neither shows; one cosine in each period, where
the last one of theirs has nine, each twice as long as the one before.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from vertebra.data.augment import Augment
from vertebra.data.crops import Resize
from vertebra.data.mixing import Mixing
from vertebra.data.preprocess import Preprocess
from vertebra.duration import Duration, steps
from vertebra.engine.optimizers import AdamW
from vertebra.engine.schedules import Cosine
from vertebra.methods.arch_net import ArchNetDistillSpec
from vertebra.methods.fine_tuning import FineTuning
from vertebra.models.arch_net import ArchNetSpec
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection

BATCH = 256
OPTIMIZER = AdamW(lr=1e-3, weight_decay=1e-7)
MIXING = Mixing(mixup=1.0, probability=0.1)

FIRST, MIDDLE, LAST = (steps(count * 8192 // BATCH) for count in (60, 10, 5110))
"""The published lengths of the periods."""

GROWING_SHARE = 0.1
"""Of a shorter training, what each period but the last one gets."""


def arch_net() -> Recipe:
    """Returns 26 periods, each of one more target, 173,120 updates; a teacher has to be given."""
    model = ArchNetSpec(of=NAMED["resnet18"])
    data = Data(
        source="imagenet",
        batch_size=BATCH,
        preprocess=Preprocess(image_size=224),
        augment=Augment(crop=Resize(), mixing=MIXING),
    )
    middle = (MIDDLE,) * (len(growth(model, each="part")) - 2)
    return Recipe(
        name="arch-net",
        source="Arch-Net (2021), filters of 2 bits and activations of 4",
        expects=Expectation(
            figure="68.77% top-1, ImageNet at 224 px, of a teacher with 69.76% (published)",
            cost="44 million images, each through teacher and student",
        ),
        model=model,
        phases=periods(
            Phase(data=data), growth(model, each="part"), lengths=(FIRST, *middle, LAST)
        ),
        selection=Selection(keep="last"),
    )


def growth(model: ArchNetSpec, *, each: Literal["part", "stage"]) -> tuple[int | None, ...]:
    """Returns how many targets each period has: one more, or those of one more stage; last all."""
    *growing, features = model.stage_ends
    return (*range(1, features + 1), None) if each == "part" else (*growing, None)


def shared(length: Duration, count: int) -> tuple[Duration, ...]:
    """Returns the lengths of `count` periods of a training: a tenth each, the rest for the last."""
    digits = 0 if length.unit == "steps" else 2
    least = 10.0**-digits
    short = max(least, round(length.value * min(GROWING_SHARE, 1 / count), digits))
    rest = max(least, round(length.value - short * (count - 1), digits))
    values = (short,) * (count - 1) + (rest,)
    return tuple(Duration(value, length.unit) for value in values)


def periods(
    phase: Phase, growing: Sequence[int | None], *, lengths: Sequence[Duration]
) -> tuple[Phase, ...]:
    """Returns a phase for each number of targets, the first one from the teacher's weights.

    phase: says on which images, in which batches.
    """
    lr = OPTIMIZER.lr_for(phase.data.batch_size / BATCH)
    plain = replace(
        phase,
        fine_tuning=FineTuning(),
        optimizer=replace(OPTIMIZER, lr=lr),
        schedule=Cosine(warmup=steps(0)),
        clip_norm=None,
        averaging=None,
        takes="model",
    )
    return tuple(
        replace(
            plain,
            length=length,
            method=ArchNetDistillSpec(targets=targets, starts_from_teacher=place == 0),
        )
        for place, (targets, length) in enumerate(zip(growing, lengths, strict=True))
    )
