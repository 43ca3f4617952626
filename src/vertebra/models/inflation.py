"""Starts a network for clips from one for images: each kernel is spread evenly over time.

Source: Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset (2017), section 2.4.1.
Differs: a projection after an average pool (form D) becomes one that strides, a start and no more;
what images have no counterpart for (self-gating) stays as it was drawn.

A clip of one frame repeated gives what the image gives, away from the clip's ends (zeros are padded
there), if the network for clips has no gate of its own and the forms agree.
"""

import re
from typing import NamedTuple

from torch import Tensor

from vertebra.contracts import Backbone, Classifier
from vertebra.errors import CheckpointError
from vertebra.models.resnet3d import ClipNet
from vertebra.models.shell import ResidualNet

RULES = (
    (r"\.shortcut\.(conv|norm)\.", r".shortcut.project.\1."),
    (r"\.gate\.channel\.", ".gate."),
)
"""What a tensor of the network for clips may be called in one for images, if not the same."""


class Inflation(NamedTuple):
    """Names of tensors: those copied, those without a counterpart, those of the images not used."""

    copied: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def inflate(clips: Classifier | Backbone, images: Classifier | Backbone) -> Inflation:
    """Copies the weights of `images` into `clips`, in place, kernels divided by their length in
    time.

    Heads are copied if both are classifiers of as many classes.

    Raises:
        CheckpointError: one is of another family, or a tensor is of another shape.
    """
    target, source = _backbone(clips), _backbone(images)
    if not isinstance(target, ClipNet) or type(source) is not ResidualNet:
        raise CheckpointError(
            f"a {type(source).__name__} was to start a {type(target).__name__}; "
            "give a residual network for images and one for clips"
        )
    given, state = images.state_dict(), clips.state_dict()
    names = {key: _counterpart(key, given) for key in state}
    found = {key: name for key, name in names.items() if name is not None}
    if isinstance(clips, Classifier) and isinstance(images, Classifier):
        found = {key: name for key, name in found.items() if _may_be_copied(key, given, state)}
    spread = {key: _spread(given[name], state[key], key) for key, name in found.items()}
    clips.load_state_dict({**state, **spread})
    return Inflation(
        copied=tuple(found),
        fresh=tuple(key for key in state if key not in found),
        unused=tuple(key for key in given if key not in set(found.values())),
    )


def _backbone(model: Classifier | Backbone) -> Backbone:
    return model.backbone if isinstance(model, Classifier) else model


def _counterpart(key: str, given: dict[str, Tensor]) -> str | None:
    names = [key, *(re.sub(pattern, name, key) for pattern, name in RULES)]
    return next((name for name in names if name in given), None)


def _may_be_copied(key: str, given: dict[str, Tensor], state: dict[str, Tensor]) -> bool:
    return not key.startswith("head.") or given[key].shape == state[key].shape


def _spread(tensor: Tensor, wanted: Tensor, key: str) -> Tensor:
    """tensor: [O, I, H, W] -> [O, I, T, H, W] whose sum over T it is; others stay."""
    if wanted.ndim == 5:
        frames = wanted.shape[2]
        tensor = tensor.unsqueeze(2).repeat(1, 1, frames, 1, 1) / frames
    if tensor.shape != wanted.shape:
        raise CheckpointError(
            f"{key} would be {list(tensor.shape)} and is {list(wanted.shape)}; "
            "start from a network of the same width, stem and input channels"
        )
    return tensor
