"""Published weights into a model of ours: found by name, made to fit its input and head, loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vertebra.contracts import Backbone, Classifier
from vertebra.errors import CheckpointError
from vertebra.layers.linear_head import LinearHead
from vertebra.models import timm_weights
from vertebra.models.catalogue import Weights, catalogue_of, choose
from vertebra.models.names import Names
from vertebra.models.timm import TimmBackbone
from vertebra.models.timm_library import weights_of
from vertebra.models.weight_files import SUFFIX, file_of, read_weights
from vertebra.models.weights import OURS, load_as, misfits, namings

RGB = 3
"""Channels of the images that all published weights have learnt from."""


class PretrainedReport(NamedTuple):
    """What was loaded, from where, and what was changed to make it fit.

    notes:      sentences to print.
    source:     as "timm/resnet50.a1_in1k", or the path of a file.
    licence:    as its publisher states it; None is not stated.
    image_size: side in pixels of the images that the weights were trained on; None is unknown.
    mean, std:  of the pixels in [0, 1], one for each channel of the model; None is unknown.
    """

    notes: tuple[str, ...]
    source: str
    licence: str | None
    image_size: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def load_pretrained(
    model: Classifier, *, name: str | None, weights: str, download: bool, keep_head: bool = False
) -> PretrainedReport:
    """Copies weights into `model` and returns what was done; its head stays fresh unless kept.

    name:      what the model is called, on the shelf or as "timm/NAME"; None where it has no name.
    weights:   "default", a tag ("a1_in1k"), a source ("timm/resnet50.a1_in1k"), or the path of a
               .safetensors file with the names of timm, torchvision or ourselves.
    download:  whether a file that is not on this machine may be fetched.
    keep_head: the head is loaded too; it must have as many classes.

    Raises:
        CheckpointError: no such weights, no such file, or they are another model's.
        MissingExtra: huggingface_hub is needed to fetch them and not installed.
    """
    path, chosen = Path(weights), None
    if path.suffix != SUFFIX and not path.is_file():
        chosen = choose(weights, known_weights(model.backbone, name), model=name or "this model")
        path = file_of(chosen, download=download)
    state = read_weights(path)
    backbone = model.backbone
    if isinstance(backbone, TimmBackbone) and any(misfits(backbone, _bare(state), OURS)):
        notes = _load_timm(model, backbone, state, keep_head=keep_head)
    else:
        notes = _load_named(model, _bare(state), keep_head=keep_head)
    source = chosen.source if chosen else weights
    return PretrainedReport(
        notes=(f"starts from {source}, licence {_licence(chosen)}", *notes),
        source=source,
        licence=chosen and chosen.licence,
        image_size=chosen and chosen.image_size,
        mean=chosen and _by_channel(chosen.mean, backbone.in_channels),
        std=chosen and _by_channel(chosen.std, backbone.in_channels),
    )


def known_weights(backbone: Backbone, name: str | None) -> tuple[Weights, ...]:
    """Returns what is published for a backbone, the weights that its name stands for first."""
    if isinstance(backbone, TimmBackbone):
        mine = weights_of(backbone.name)
        return tuple(dict.fromkeys((*mine, *weights_of(backbone.name.partition(".")[0]))))
    return catalogue_of(name) if name else ()


def _load_named(model: Classifier, state: Mapping[str, Tensor], *, keep_head: bool) -> list[str]:
    """Loads by the names that fit best, and returns what was changed."""
    backbone = model.backbone
    names = min(namings(backbone), key=lambda each: sum(map(len, misfits(backbone, state, each))))
    fitted, notes = _with_input(backbone, state, names)
    load_as(model if keep_head else backbone, fitted, names)
    heads = [value for name, value in state.items() if names.is_of_head(name) and value.ndim > 1]
    return [*notes, _head_note(len(heads[0]) if heads else 0, is_kept=keep_head)]


def _with_input(
    backbone: Backbone, state: Mapping[str, Tensor], names: Names
) -> tuple[dict[str, Tensor], list[str]]:
    """Returns the tensors, the first convolution's made to fit the backbone's channels."""
    fitted, notes = dict(state), list[str]()
    channels = backbone.in_channels
    for key, ours in backbone.state_dict().items():
        name = names.translate(f"backbone.{key}")
        given = fitted.get(name)
        if given is None or given.ndim < 4 or given.shape[1] != RGB or ours.shape[1] != channels:
            continue
        if channels != RGB:
            fitted[name] = for_channels(given, channels)
            notes.append(_input_note(channels))
    return fitted, notes


def for_channels(weight: Tensor, channels: int) -> Tensor:
    """weight: [O, 3, ...] of a first convolution -> [O, channels, ...].

    One channel gets the sum over the three, which sees a grey image as they see it repeated three
    times; more are the three over and over, scaled so that equal channels give the same sum.
    """
    if channels == 1:
        return weight.sum(1, keepdim=True)
    places = torch.arange(channels) % RGB
    return weight[:, places] * (RGB / channels)


def _load_timm(
    model: Classifier, backbone: TimmBackbone, state: Mapping[str, Tensor], *, keep_head: bool
) -> list[str]:
    head = timm_weights.head_of(backbone, state)
    if keep_head:
        _copy_head(model, head)
    changed = timm_weights.load_into(backbone, state)
    notes = [] if backbone.in_channels == RGB else [_input_note(backbone.in_channels)]
    notes += [f"made to fit: {each}" for each in changed]
    return [*notes, _head_note(len(head.weight) if head else 0, is_kept=keep_head)]


def _copy_head(model: Classifier, head: timm_weights.TimmHead | None) -> None:
    if head is None or not isinstance(model.head, LinearHead):
        raise CheckpointError(
            "the head of these weights is not one linear map of the vector; load without it"
        )
    ours = model.head.fc
    if ours.weight.shape != head.weight.shape:
        raise CheckpointError(
            f"the weights have {len(head.weight)} classes and the model {len(ours.weight)}; "
            f"build it with {len(head.weight)} classes, or load without the head"
        )
    ours.load_state_dict(head._asdict())


def _bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("backbone."): value for name, value in state.items()}


def _by_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Returns the mean of the values for one channel, else the values over and over."""
    if channels == 1:
        return (round(sum(values) / len(values), 6),)
    return tuple(values[place % len(values)] for place in range(channels))


def _licence(chosen: Weights | None) -> str:
    return (chosen and chosen.licence) or "not stated"


def _input_note(channels: int) -> str:
    how = "summed" if channels == 1 else f"repeated and scaled by {RGB}/{channels}"
    return f"input: the filters for {RGB} channels, {how} for {channels}"


def _head_note(classes: int, *, is_kept: bool) -> str:
    if is_kept:
        return f"head: kept, {classes} classes"
    return f"head: fresh, in place of {classes} classes" if classes else "head: fresh"
