"""What a trained model is worth on a split, with the pictures of its most confident mistakes."""

import base64
import io
from collections.abc import Callable, Iterable

import torch
from PIL import Image
from torch import nn

from vertebra.contracts import Batch
from vertebra.data.images import Split
from vertebra.engine.evaluate import evaluate
from vertebra.engine.execution import Execution
from vertebra.methods.fine_tuning import backbone_of
from vertebra.report.evaluation import Evaluation, Mistake
from vertebra.tasks.classify import ClassificationMetric
from vertebra.tasks.represent import RepresentationMetric

MISTAKES = 24
"""How many mistakes are kept with their pictures."""

PICTURE_PX = 96
"""The longer side of such a picture; smaller images are enlarged without smoothing."""


def judged(
    model: nn.Module, split: Split, *, keep: int = 0
) -> tuple[nn.Module, ClassificationMetric | RepresentationMetric]:
    """Returns what of the model is judged on `split`, and by which metric.

    It is the answers where there are classes, else the vectors of the backbone. `keep`: so many
    mistakes are kept.
    """
    if split.classes:
        return model, ClassificationMetric(len(split.classes), keep=keep)
    backbone = backbone_of(model)
    return backbone, RepresentationMetric(backbone.width)


def judge(
    model: nn.Module,
    split: Split,
    batches: Iterable[Batch],
    *,
    name: str,
    device: torch.device,
    execution: Execution,
    on_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Returns figures, confusion matrix and mistakes of `model` on every image of `split`."""
    part, metric = judged(model, split, keep=MISTAKES)
    evaluate(part, batches, metric, device=device, execution=execution, on_batch=on_batch)
    figures = metric.result()
    n = int(figures.pop("n"))
    if isinstance(metric, RepresentationMetric):
        return Evaluation(split=name, n=n, figures=figures, classes=(), confusion=())
    mistakes = [
        Mistake(
            name=split.name(one.index),
            target=split.classes[one.target],
            predicted=split.classes[one.predicted],
            confidence=one.confidence,
            picture=picture(split.open(one.index, 3)),
        )
        for one in metric.mistakes
    ]
    return Evaluation(
        split=name,
        n=n,
        figures=figures,
        classes=split.classes,
        confusion=metric.sums["confusion"].tolist(),
        mistakes=mistakes,
    )


def picture(image: Image.Image) -> str:
    """Returns the image as a data URI, its longer side `PICTURE_PX` long."""
    scale = PICTURE_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BICUBIC
    file = io.BytesIO()
    image.resize(size, method).save(file, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
