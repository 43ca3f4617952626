"""What accuracies the papers publish, of models on the shelf and of rivals that timm has.

Each figure is a paper's, or its authors', read again in a second place; none was measured here.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

TABLE = "published.csv"
IMAGENET = "ImageNet-1k"


class Published(NamedTuple):
    """A figure of a paper.

    model:         on the shelf, or "timm/NAME".
    image_size:    side in pixels at which it was evaluated.
    top1:          share of ImageNet's 50,000 validation images, in [0, 1].
    training_data: what it learnt from; other data than `IMAGENET` alone is no fair comparison.
    recipe:        how it was trained, in a few words.
    source:        paper, and where in it or by whom.
    """

    model: str
    image_size: int
    top1: float
    training_data: str
    recipe: str
    source: str


@cache
def published() -> tuple[Published, ...]:
    """Returns every figure, families together, in the order of the file."""
    text = files("vertebra.models").joinpath(TABLE).read_text("utf-8")
    return tuple(
        Published(
            model=row["model"],
            image_size=int(row["image_size"]),
            top1=round(float(row["top1_percent"]) / 100, 6),
            training_data=row["training_data"],
            recipe=row["recipe"],
            source=row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def published_of(model: str, *, training_data: str = IMAGENET) -> tuple[Published, ...]:
    """Returns the figures of one model, a row for each image size; none if no paper has any."""
    return tuple(
        each for each in published() if each.model == model and each.training_data == training_data
    )
