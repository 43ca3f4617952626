"""The abstractions that everything else is written against: read this page first.

Batch -> Backbone -> Encoding -> head -> logits is how images become predictions.
Method(Batch, Progress) -> Losses is how a network learns.
Metric(outputs, Batch) is how it is judged.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some samples of a data set.

    images:     [N, C, H, W]; uint8 as a loader's worker makes it, float and normalised for a
                network.
    targets:    class numbers [N] int64, soft classes [N, K] float, or a class map [N, H, W] int64;
                told apart by rank and dtype.
    index:      [N] int64, each sample's place in its data set.
    views:      further versions of the same samples, each [N, C, S, S], where a method asks for
                them.
    unlabelled: samples of a second data set that are learnt from beside these.
    """

    images: Tensor
    targets: Tensor
    index: Tensor
    views: tuple[Tensor, ...] = ()
    unlabelled: "Batch | None" = None

    def to(self, device: torch.device) -> "Batch":
        """Returns the batch on `device`; copies from pinned memory to a device do not block."""
        # A copy back to the CPU has to block: else it is read before it has arrived.
        non_blocking = device.type != "cpu"
        return self.each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """Returns the batch in page-locked memory; a torch `DataLoader` calls this."""
        return self.each(Tensor.pin_memory)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Returns the batch with every tensor changed."""
        return Batch(
            change(self.images),
            change(self.targets),
            change(self.index),
            views=tuple(map(change, self.views)),
            unlabelled=self.unlabelled and self.unlabelled.each(change),
        )


class MapSpec(NamedTuple):
    """What a backbone promises of a map: [N, channels, ceil(H / stride), ceil(W / stride)]."""

    name: str
    channels: int
    stride: int


class Encoding(NamedTuple):
    """What a backbone gives: maps, fine to coarse, each [N, C_i, H_i, W_i]; vector [N, width]."""

    maps: tuple[Tensor, ...]
    vector: Tensor


class Backbone(nn.Module, ABC):
    """A network that turns images into maps and a vector, and says beforehand what they will be.

    maps:        one `MapSpec` for each map of the encoding, fine to coarse.
    width:       length of the pooled vector.
    in_channels: channels of the images it takes.
    """

    maps: tuple[MapSpec, ...]
    width: int
    in_channels: int
    frozen_levels: int = 0

    @abstractmethod
    def forward(self, images: Tensor) -> Encoding:
        """images: [N, in_channels, H, W] -> Encoding, in training and evaluation alike."""

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns the parts from image to vector, which share no parameter and leave none out.

        Freezing and layer-wise learning rates count in them.
        """
        return tuple(self.children())

    def freeze(self, levels: int) -> None:
        """Takes the first `levels` out of training for good: they get no gradients, and whatever
        mode is asked for they stay in evaluation mode, so that batch statistics rest too."""
        self.frozen_levels = levels
        for level in self.levels()[:levels]:
            level.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of all but the frozen levels; returns itself."""
        super().train(mode)
        if self.frozen_levels:
            for level in self.levels()[: self.frozen_levels]:
                level.eval()
        return self

    def fused(self) -> Self:
        """Returns a copy for inference, see `fused`."""
        return fused(self)


class Classifier(nn.Module):
    """A backbone and a head on its pooled vector: images [N, C, H, W] -> logits [N, K]."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """images: [N, C, H, W] -> logits [N, K]."""
        return self.head(self.backbone(images).vector)

    def fused(self) -> Self:
        """Returns a copy for inference, see `fused`."""
        return fused(self)


class Foldable(nn.Module, ABC):
    """A part that evaluation can do with fewer operations, such as a convolution and its norm."""

    @abstractmethod
    def folded(self) -> nn.Module:
        """Returns what gives the same in evaluation; it may share tensors with this part."""


AnyModule = TypeVar("AnyModule", bound=nn.Module)


def fused(model: AnyModule) -> AnyModule:
    """Returns a copy in evaluation mode in which each part that can be folded is.

    It gives the same up to rounding, is not meant to be trained, and leaves `model` as it is.
    """
    copy = sharing(model).eval()
    _fold_within(copy)
    copy.eval()  # once more: a part that folding made starts in training mode
    return parted(copy, model)


def sharing(model: AnyModule) -> AnyModule:
    """Returns a copy of the modules, whose tensors are those of `model` as long as nothing else is
    put in their place: so no tensor is copied that folding replaces."""
    shared: dict[int, Tensor] = {
        **{
            id(each): nn.Parameter(each.detach(), each.requires_grad) for each in model.parameters()
        },
        **{id(each): each.detach() for each in model.buffers()},
    }
    return deepcopy(model, shared)


def parted(copy: AnyModule, model: nn.Module) -> AnyModule:
    """Returns `copy` with tensors of its own, where it still shares them with `model`."""
    shared = {each.untyped_storage().data_ptr() for each in _tensors(model)}
    for each in _tensors(copy):
        if each.untyped_storage().data_ptr() in shared:
            each.data = each.data.clone()
    return copy


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())


def _fold_within(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        _fold_within(child)  # the inner parts first: an outer one may build on what they became
        if isinstance(child, Foldable):
            setattr(module, name, child.folded())


@dataclass(frozen=True)
class Progress:
    """Where a phase is: `step` updates of `steps` are done."""

    step: int
    steps: int

    @property
    def fraction(self) -> float:
        """Share of the phase that is done, in [0, 1]."""
        return self.step / self.steps if self.steps else 1.0


class Losses(NamedTuple):
    """What a method found on a batch.

    total: the scalar to minimise.
    parts: named scalars that explain it, detached, for records and errors.
    """

    total: Tensor
    parts: Mapping[str, Tensor]


class ParameterGroup(NamedTuple):
    """Parameters that share a treatment.

    decays:   whether weight decay applies to them.
    lr_scale: multiplies the learning rate.
    """

    name: str
    parameters: list[nn.Parameter]
    decays: bool
    lr_scale: float = 1.0


class Method(nn.Module, ABC):
    """A way to learn. It owns every module of the run: student, teacher, target, extra heads."""

    @abstractmethod
    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """Returns the losses of one batch; changes nothing but batch statistics."""

    def after_step(self, progress: Progress) -> None:
        """Moves what must move after an update (a momentum target, a queue); often nothing."""

    @abstractmethod
    def deployable(self) -> nn.Module:
        """Returns the module that is evaluated, exported and handed on."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """Returns every trainable parameter once, by default as `split_by_decay` does."""
        return split_by_decay(self)


class Undecayed(nn.Module):
    """A part whose parameters do not decay, whatever their rank, such as a table of biases."""


def split_by_decay(module: nn.Module) -> list[ParameterGroup]:
    """Returns two groups: weights, which decay; norms and biases (rank <= 1 or `Undecayed`), not.

    Source: Bag of Tricks for Image Classification (2019), section 3.1, "no bias decay".
    """
    exempt = [part for part in module.modules() if isinstance(part, Undecayed)]
    undecayed = {id(p) for part in exempt for p in part.parameters()}

    def decays(p: nn.Parameter) -> bool:
        return p.ndim > 1 and id(p) not in undecayed

    trainable = [p for p in module.parameters() if p.requires_grad]
    return [
        ParameterGroup("weights", [p for p in trainable if decays(p)], decays=True),
        ParameterGroup("norms and biases", [p for p in trainable if not decays(p)], decays=False),
    ]


Outputs = TypeVar("Outputs", contravariant=True)


class Metric(Protocol[Outputs]):
    """Sums and counts, exact over ragged batches and over several processes."""

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch; `outputs` is what the deployable module gave for it."""
        ...

    def merge(self, other: Self) -> None:
        """Adds what another process counted."""
        ...

    def result(self) -> dict[str, float]:
        """Returns the figures by name, e.g. {"top1": 0.93}."""
        ...
