"""A deployed run on images: judged where their classes are known, named where they are not."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from vertebra.data.images import Split
from vertebra.data.loader import EvaluationBatches
from vertebra.engine.execution import has_bf16
from vertebra.export.answer import Answer
from vertebra.export.optimize import FormRefused
from vertebra.export.optimize import optimize as optimized
from vertebra.recipes.deploy import Deployed
from vertebra.recipes.judge import judge
from vertebra.report.evaluation import Evaluation

OnRefusal = Callable[[str], None]
"""Is told in a sentence that a network's fast form is not used, and why."""

MOST_AT_ONCE = 64
"""So many images go through a network to be named: the machine may be a small one."""

WORTH_OPTIMIZING = 256
"""From so many images on the fast form is made: on two cores making it takes 0.3 to 1.1 seconds,
what it saves on 100 images (ResNet-50 at 224 px) to 2,900 (the network of the digits)."""

CHECKED_ON = 8
"""On so many images both forms of a network answer, before the fast one is used."""


def evaluate_split(
    deployed: Deployed,
    split: Split,
    *,
    name: str,
    optimize: bool = False,
    on_refusal: OnRefusal | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Returns how the run does on `split`, whose classes are matched to its own by name.

    On the run's own device its figures come out as they were reported, to the last digit.

    optimize: in the network's fast form, see `fast_form`; figures may then differ in rounding.

    Raises:
        CheckpointError: the run knows no classes.
        DataError: the split has a class that the run does not know, or an unreadable file.
        FormRefused: the fast form answers otherwise, and `on_refusal` is not given.
    """
    deployed.require_classes()
    known = split.relabel(deployed.classes)
    batch_size = deployed.recipe.phases[-1].pass_size
    model = deployed.model
    if optimize and len(known) >= WORTH_OPTIMIZING:
        model = _checked_on(known, deployed, batch_size=batch_size, on_refusal=on_refusal)
    deployed.execution.keep_memory_after(model, deployed.device)
    return judge(
        model,
        known,
        batches(deployed, known, batch_size=batch_size),
        name=name,
        device=deployed.device,
        execution=deployed.execution,
        on_batch=on_batch,
    )


def predict(
    deployed: Deployed,
    split: Split,
    *,
    top: int = 5,
    optimize: bool = False,
    on_refusal: OnRefusal | None = None,
) -> Iterator[Answer]:
    """Yields an answer for each image, in order; `top` classes at most.

    optimize: in the network's fast form, see `fast_form`.

    Raises:
        CheckpointError: the run knows no classes.
        DataError: a file cannot be read.
        FormRefused: the fast form answers otherwise, and `on_refusal` is not given.
    """
    deployed.require_classes()
    batch_size = min(deployed.recipe.phases[-1].pass_size, MOST_AT_ONCE)
    model = deployed.model
    if optimize and len(split) >= WORTH_OPTIMIZING:
        model = _checked_on(split, deployed, batch_size=batch_size, on_refusal=on_refusal)
    deployed.execution.keep_memory_after(model, deployed.device)
    for batch in batches(deployed, split, batch_size=batch_size):
        shares = probabilities(deployed, model, batch.images).cpu()
        for index, row in zip(batch.index.tolist(), shares, strict=True):
            yield Answer.of(split.name(index), row, deployed.classes, top=top)


def probabilities(deployed: Deployed, model: nn.Module, images: Tensor) -> Tensor:
    """Returns how probable each class is by `model`, the run's network or its fast form.

    images: [N, C, S, S] on the run's device, normalised -> [N, K] in fp32
    """
    with torch.inference_mode(), deployed.execution.autocast(deployed.device):
        logits: Tensor = model(images)
        return logits.float().softmax(1)


def fast_form(
    deployed: Deployed,
    images: Tensor,
    *,
    batch_size: int,
    on_refusal: OnRefusal | None = None,
) -> nn.Module:
    """Returns the run's network as `optimize` makes it in the run's precision, checked on `images`;
    a run in bf16 keeps its network where the device only imitates that.

    images:     [N, C, S, S] on the run's device, normalised.
    batch_size: images in a call that are expected.
    on_refusal: is told where the fast form answers otherwise; the network is then as it is.

    Raises:
        FormRefused: the fast form answers otherwise, and nobody is to be told.
    """
    precision = deployed.execution.precision
    if precision == "bf16" and not has_bf16(deployed.device):
        return deployed.model
    try:
        return optimized(deployed.model, images, precision=precision, batch_size=batch_size)
    except FormRefused as refusal:
        if on_refusal is None:
            raise
        on_refusal(f"the network computes as it was trained: {refusal.why}")
        return deployed.model


def _checked_on(
    split: Split, deployed: Deployed, *, batch_size: int, on_refusal: OnRefusal | None
) -> nn.Module:
    """Returns the fast form, checked on some of the images it is for, from first to last."""
    some = split.subset(np.linspace(0, len(split) - 1, CHECKED_ON).astype(np.int64))
    (batch,) = batches(deployed, some, batch_size=CHECKED_ON)
    return fast_form(deployed, batch.images, batch_size=batch_size, on_refusal=on_refusal)


def batches(deployed: Deployed, split: Split, *, batch_size: int) -> EvaluationBatches:
    """Returns every image of the split once, as the run's model takes them."""
    return EvaluationBatches(
        split,
        preprocess=deployed.preprocess,
        batch_size=batch_size,
        workers=deployed.execution.worker_count(in_memory=split.in_memory or len(split) <= 64),
        device=deployed.device,
        layout=deployed.execution.layout,
    )
