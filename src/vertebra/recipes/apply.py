"""A deployed run on images: judged where their classes are known, named where they are not."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from vertebra.data.images import Split
from vertebra.data.loader import EvaluationBatches
from vertebra.recipes.deploy import Deployed
from vertebra.recipes.judge import judge
from vertebra.report.evaluation import Evaluation

MOST_AT_ONCE = 64
"""So many images go through a network to be named: the machine may be a small one."""


class Answer(NamedTuple):
    """The most probable classes of an image, best first, each with its probability."""

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


def evaluate_split(
    deployed: Deployed,
    split: Split,
    *,
    name: str,
    on_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Returns how the run does on `split`, whose classes are matched to its own by name.

    On the run's own device its figures come out as they were reported, to the last digit.

    Raises:
        CheckpointError: the run knows no classes.
        DataError: the split has a class that the run does not know, or an unreadable file.
    """
    deployed.require_classes()
    known = split.relabel(deployed.classes)
    return judge(
        deployed.model,
        known,
        batches(deployed, known, batch_size=deployed.recipe.phases[-1].pass_size),
        name=name,
        device=deployed.device,
        execution=deployed.execution,
        on_batch=on_batch,
    )


def predict(deployed: Deployed, split: Split, *, top: int = 5) -> Iterator[Answer]:
    """Yields an answer for each image, in order; `top` classes at most.

    Raises:
        CheckpointError: the run knows no classes.
        DataError: a file cannot be read.
    """
    deployed.require_classes()
    batch_size = min(deployed.recipe.phases[-1].pass_size, MOST_AT_ONCE)
    for batch in batches(deployed, split, batch_size=batch_size):
        with torch.inference_mode(), deployed.execution.autocast(deployed.device):
            logits = deployed.model(batch.images).float()
        best = logits.softmax(1).topk(min(top, len(deployed.classes)), dim=1)
        rows = zip(batch.index.tolist(), best.indices.tolist(), best.values.tolist(), strict=True)
        for index, places, probabilities in rows:
            names = tuple(deployed.classes[place] for place in places)
            yield Answer(split.name(index), names, tuple(probabilities))


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
