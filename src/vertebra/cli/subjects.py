"""From names on a command line to models that can be measured: shelf, timm, runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vertebra.models.published import IMAGENET, Published, published, published_of
from vertebra.models.shelf import NAMESPACE, SHELF, find_entry
from vertebra.records import RunDirectory

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vertebra.bench.settings import BenchSettings
    from vertebra.bench.work import Subject

CLASSES = 1000
"""Outputs of a model that is no run."""


class Wanted(NamedTuple):
    """A model to measure; image_size None is its own, and `figure` a paper's."""

    name: str
    image_size: int | None = None
    figure: Published | None = None

    @property
    def is_run(self) -> bool:
        """Whether the name is a folder's and not a model's."""
        namespace, slash, _ = self.name.partition("/")
        if self.name in SHELF or (slash and namespace == NAMESPACE):
            return False
        return bool(slash) or Path(self.name).exists()

    @property
    def family(self) -> str:
        """What it is drawn with."""
        return "runs" if self.is_run else find_entry(self.name).family.name


def wanted(models: Sequence[str], *, image_size: int | None, with_figures: bool) -> list[Wanted]:
    """Returns what to measure: each model once, or at each size for which a paper has a figure.

    with_figures: no models stand for all that have a figure.

    Raises:
        VertebraError: there is no such model, or a folder holds no run.
    """
    for name in models:
        if Wanted(name).is_run:
            RunDirectory(Path(name)).require()
        else:
            find_entry(name)
    if not with_figures:
        return [Wanted(name, image_size) for name in dict.fromkeys(models)]
    names = models or [each.model for each in published() if each.training_data == IMAGENET]
    return [each for name in dict.fromkeys(names) for each in _with_figures(name)]


def subject(each: Wanted) -> "Subject":
    """Returns the model as the bench takes it; a run is loaded, others are not built yet.

    Raises:
        VertebraError: the run cannot be loaded.
    """
    from vertebra.bench.work import Subject
    from vertebra.tasks.classify import create_model

    if each.is_run:
        return _run(each)
    return Subject(
        name=each.name,
        image_size=each.image_size or find_entry(each.name).image_size,
        build=lambda: create_model(each.name, num_classes=CLASSES),
        optimize=_fast,
    )


def _with_figures(name: str) -> list[Wanted]:
    figures = [Wanted(name, figure.image_size, figure) for figure in published_of(name)]
    return figures or [Wanted(name)]


def _run(each: Wanted) -> "Subject":
    from vertebra.bench.work import Subject
    from vertebra.recipes.deploy import load_run

    preprocess = load_run(each.name, device="cpu").preprocess
    return Subject(
        name=each.name,
        image_size=each.image_size or preprocess.image_size,
        in_channels=preprocess.channels,
        build=lambda: load_run(each.name, device="cpu").model,
        optimize=_fast,
    )


def _fast(model: "nn.Module", images: "Tensor", settings: "BenchSettings") -> "nn.Module":
    from vertebra.export.optimize import optimize

    return optimize(model, images, precision=settings.precision, compile=settings.compile)
