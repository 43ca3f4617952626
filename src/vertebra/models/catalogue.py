"""The published weights that load into the models on the shelf, read from a table; no torch.

`scripts/catalogue` writes the table from what timm says of its weights. Each top-1 was measured by
timm's author on ImageNet's validation images at that size: results/results-imagenet.csv of its
repository, of 2026-08. Nothing was measured here.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from vertebra.errors import CheckpointError
from vertebra.lookup import suggest

TABLE = "catalogue.csv"

DEFAULT = "default"
"""Stands for the first of a model's weights."""

_DATA_SETS = (
    *("in1k", "in12k", "in21k", "in22k", "inw21k", "ig1b", "jft", "lvd", "laion", "yfcc"),
    *("bamboo", "cc12m", "datacomp", "webli", "sa1b"),
)
"""What words begin with that name a data set in timm's tags."""


class Weights(NamedTuple):
    """Published weights of a model, and how to prepare images for them.

    model:         on the shelf, or "timm/NAME".
    source:        who publishes them under which name, as "timm/resnet50.a1_in1k".
    also:          another name for the same, as "torchvision/ResNet50_Weights.IMAGENET1K_V2".
    repository:    on the Hugging Face Hub; `filename` is the file in it.
    licence:       as the publisher states it; None is not stated.
    training_data: what they learnt from, first to last, as "in22k_ft_in1k"; None is not stated.
    classes:       outputs of their head; 0 is none.
    image_size:    side in pixels of the images they were trained or tuned on.
    crop:          share of the resized image's side that the centre crop keeps, in evaluation.
    mean, std:     of the pixels in [0, 1], by channel.
    top1:          at `image_size`, in [0, 1]; None is unknown.
    """

    model: str
    source: str
    repository: str
    licence: str | None
    training_data: str | None
    classes: int
    image_size: int
    crop: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    also: str | None = None
    top1: float | None = None
    filename: str = "model.safetensors"

    @property
    def tag(self) -> str:
        """What tells these from other weights of the same network, as "a1_in1k"."""
        return self.source.partition(".")[2]


@cache
def catalogue() -> tuple[Weights, ...]:
    """Returns all weights of the models on the shelf, in its order, a model's default first."""
    text = files("vertebra.models").joinpath(TABLE).read_text("utf-8")
    return tuple(map(_weights, csv.DictReader(text.splitlines())))


def catalogue_of(model: str) -> tuple[Weights, ...]:
    """Returns the weights of one model on the shelf, the default ones first."""
    return tuple(each for each in catalogue() if each.model == model)


def choose(wanted: str, known: tuple[Weights, ...], *, model: str) -> Weights:
    """Returns those of `known`, all of `model`, that "default", a tag or a source means.

    Raises:
        CheckpointError: there are none, or the name is misspelt; the message offers the nearest.
    """
    if not known:
        raise CheckpointError(
            f"there are no published weights of {model}; `vertebra models --pretrained` lists "
            "those that have some, or give a .safetensors file"
        )
    if wanted == DEFAULT:
        return known[0]
    names = {name: each for each in reversed(known) for name in (each.tag, each.source, each.also)}
    if wanted in names:
        return names[wanted]
    offered = suggest(wanted, [name for name in names if name])
    raise CheckpointError(f"{model} has no weights {wanted!r}; {offered}")


def training_data(tag: str) -> str | None:
    """Returns the part of timm's tag that names data: "in22k_ft_in1k" of "fb_in22k_ft_in1k_384".

    "ft_in1k" is tuned on ImageNet-1k, after something that the tag does not say; None is no data.
    """
    words = [word for word in tag.split("_") if word == "ft" or word.startswith(_DATA_SETS)]
    return "_".join(words) if words and words != ["ft"] else None


def _weights(row: dict[str, str]) -> Weights:
    return Weights(
        model=row["model"],
        source=row["source"],
        repository=row["source"],
        licence=row["licence"] or None,
        training_data=row["training_data"] or None,
        classes=int(row["classes"]),
        image_size=int(row["image_size"]),
        crop=float(row["crop"]),
        interpolation=row["interpolation"],
        mean=tuple(map(float, row["mean"].split())),
        std=tuple(map(float, row["std"].split())),
        also=row["also"] or None,
        top1=round(float(row["top1_percent"]) / 100, 6) if row["top1_percent"] else None,
    )
