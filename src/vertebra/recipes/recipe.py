"""A recipe: everything that a run is, as one frozen value that can be printed, stored, compared and
replayed."""

import math
from dataclasses import dataclass, field
from typing import Literal

from vertebra.data.augment import Augment
from vertebra.data.beside import Beside
from vertebra.data.label_noise import LabelNoise
from vertebra.data.patches import Patches
from vertebra.data.preprocess import Preprocess
from vertebra.data.unlabelled import Unlabelled
from vertebra.data.views import View
from vertebra.duration import Duration, epochs
from vertebra.engine.averaging import Averaging
from vertebra.engine.execution import Execution
from vertebra.engine.optimizers import SGD, OptimizerSpec
from vertebra.engine.schedules import Cosine, ScheduleSpec
from vertebra.errors import RecipeError
from vertebra.methods.fine_tuning import FineTuning
from vertebra.methods.learning import Shown
from vertebra.methods.specs import MethodSpec
from vertebra.methods.supervised import SupervisedSpec
from vertebra.models.specs import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a recipe should give and take.

    figure: the published or measured result with its data set, e.g. "78.8% top-1, ImageNet".
    cost:   what a run takes, with the machine it was taken on.
    """

    figure: str = "not measured"
    cost: str = "not measured"


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a phase learns from.

    source:     "digits", "cifar10", "cifar100", or the path of a folder, an archive or a manifest.
    batch_size: images in an update, over all processes and accumulated batches together.
    views:      further versions of each image, where the method compares several.
    learn_from: other images that are learnt from instead, by a method that needs no labels; the
                source is then what selects and reports.
    beside:     images without labels that are learnt from too.
    fraction:   share of each class that is learnt from, in (0, 1], nested for one seed; long_tail:
                of the first class's share to the last one's; label_noise: wrong labels among them.
                All three leave what selects and reports as it is.
    split_seed: decides which images of the source are held out; None is the recipe's seed.
    """

    source: str
    preprocess: Preprocess = field(default_factory=Preprocess)
    augment: Augment = field(default_factory=Augment)
    batch_size: int = 256
    views: tuple[View, ...] = ()
    learn_from: Unlabelled | Patches | None = None
    beside: Beside | None = None
    fraction: float = 1.0
    long_tail: float = 1.0
    label_noise: LabelNoise | None = None
    split_seed: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise RecipeError(f"batch_size={self.batch_size}; give at least 1")
        if not 0 < self.fraction <= 1:
            raise RecipeError(f"fraction={self.fraction}; give a share above 0, at most 1")
        if not 1 <= self.long_tail < math.inf:
            raise RecipeError(f"long_tail={self.long_tail}; give a ratio of 1 or more, as 100")
        if self.split_seed is not None and self.split_seed < 0:
            raise RecipeError(f"split_seed={self.split_seed}; give zero or more, or null")

    def held_out_by(self, seed: int) -> int:
        """Returns the seed that decides which images are held out; `seed` is the recipe's."""
        return seed if self.split_seed is None else self.split_seed


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of a run.

    takes:       what a later phase goes on with: the weights of the model that the phase before has
                 left, only those of its backbone, or nothing.
    fine_tuning: which levels of the network learn, and at what rate.
    accumulate:  batches in which the images of an update pass through the network, to save memory.
    clip_norm:   the gradient's largest norm; None does not clip.
    averaging:   an average of the weights that is evaluated in their place; None evaluates the
                 weights.
    """

    data: Data
    method: MethodSpec = field(default_factory=SupervisedSpec)
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    optimizer: OptimizerSpec = field(default_factory=lambda: SGD(lr=0.1))
    schedule: ScheduleSpec = field(default_factory=Cosine)
    length: Duration = field(default=epochs(90))
    accumulate: int = 1
    clip_norm: float | None = None
    averaging: Averaging | None = None
    takes: Literal["model", "backbone", "nothing"] = "model"

    @property
    def pass_size(self) -> int:
        """Images that pass through the network at once, in one process."""
        return self.data.batch_size // self.accumulate

    def __post_init__(self) -> None:
        if self.length.value == 0:
            raise RecipeError(f"length={self.length}; give a duration above zero")
        if self.accumulate < 1 or self.data.batch_size % self.accumulate:
            raise RecipeError(
                f"accumulate={self.accumulate} does not divide batch_size={self.data.batch_size}; "
                f"choose one of its divisors"
            )
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise RecipeError(f"clip_norm={self.clip_norm}; give a positive norm, or null for none")


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Where the weights of a run start from.

    weights: "default" for those that the model's name stands for, a tag or a source as
             `vertebra models --pretrained` lists them, the path of a .safetensors file, or a run
             directory.
    """

    weights: str = "default"

    def __post_init__(self) -> None:
        if not self.weights:
            raise RecipeError("weights=''; name some, or set pretrained to null for fresh ones")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """When the selection split is looked at, and which weights are kept.

    keep: "best" on the selection split (the latest of those as good, see `Selector`), or the
          "last", as most papers report.
    """

    every: Duration = field(default=epochs(1))
    keep: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        if self.every.value <= 0:
            raise RecipeError(f"selection every {self.every}; give a duration above zero")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run.

    source:     the paper and section.
    pretrained: the weights that it starts from; None draws fresh ones from the seed.
    dropout:    stands before the classifier.
    head_bias:  what a fresh classifier's biases are: 0, or -log K, with which each of K classes is
                as improbable as one sigmoid a class should find it at the start.
    """

    name: str
    source: str
    model: ModelSpec
    phases: tuple[Phase, ...]
    expects: Expectation = field(default_factory=Expectation)
    pretrained: Pretrained | None = None
    dropout: float = 0.0
    head_bias: Literal["zero", "log_prior"] = "zero"
    selection: Selection = field(default_factory=Selection)
    execution: Execution = field(default_factory=Execution)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.phases:
            raise RecipeError("a recipe has no phases; give at least one")
        if not 0 <= self.dropout < 1:
            raise RecipeError(f"dropout={self.dropout}; give a rate in [0, 1)")
        if self.seed < 0:
            raise RecipeError(f"seed={self.seed}; give zero or more")

    def check(self, *, processes: int = 1) -> None:
        """Refuses what only the whole can know; reads no data.

        Raises:
            RecipeError: the parts do not fit each other.
        """
        channels = {phase.data.preprocess.channels for phase in self.phases}
        if len(channels) > 1:
            raise RecipeError(
                f"phases give the model {sorted(channels)} channels; use one number in all of them"
            )
        if self.selection.keep == "best" and not self.phases[-1].method.needs_labels:
            raise RecipeError(
                f"selection.keep='best' needs classes to judge by, and "
                f"{type(self.phases[-1].method).__name__} learns without; set it to 'last'"
            )
        for place, phase in enumerate(self.phases):
            _check_images(phase.data)
            _check_method(phase, self.model)
            labels = phase.data.beside and phase.data.beside.labels
            if place == 0 and labels is not None and labels.teacher is None:
                raise RecipeError(
                    "labels.teacher=null means the phase before, and phase 0 has none; give a "
                    "finished run, as --teacher RUN"
                )
            share = processes * phase.accumulate
            if phase.data.batch_size % share:
                raise RecipeError(
                    f"batch_size={phase.data.batch_size} of phase {place} cannot be shared by "
                    f"{processes} processes x {phase.accumulate} accumulated batches; "
                    f"use a multiple of {share}"
                )


def _check_images(data: Data) -> None:
    for shown in (data, data.beside):
        if shown is not None:
            shown.augment.check(data.preprocess)
            for view in shown.views:
                view.check(shown.augment, data.preprocess)
    is_poorer = data.fraction < 1 or data.long_tail > 1 or data.label_noise is not None
    if data.learn_from is not None and is_poorer:
        raise RecipeError(
            "fraction, long_tail and label_noise change the training split, and learn_from takes "
            "its place; leave them out, or learn_from"
        )


def _check_method(phase: Phase, model: ModelSpec) -> None:
    data, method = phase.data, phase.method
    method.check(
        Shown(
            model=model,
            augment=data.augment,
            views=len(data.views),
            beside=data.beside,
            elsewhere=data.learn_from is not None,
        )
    )
    if data.label_noise is not None and not method.needs_labels:
        raise RecipeError(
            f"label_noise has no effect on {type(method).__name__}, which needs no labels; "
            f"leave it out"
        )
