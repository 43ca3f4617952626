"""What a model of timm gives and takes, found by running it on shapes without values."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import Encoding, MapSpec
from vertebra.errors import RecipeError

MAPS_OF_ONE_STRIDE = 4
"""A network that never shrinks its map gives this many, evenly spaced, the last one included."""


class Margin(NamedTuple):
    """Images are padded to sides that are multiples of `multiple`, and at least `smallest`."""

    multiple: int = 1
    smallest: int = 1

    def pad(self, images: Tensor) -> Tensor:
        """Returns the images with zeros below and to the right of them, if any are missing."""
        height, width = images.shape[-2:]
        below, right = self._missing(height), self._missing(width)
        return F.pad(images, (0, right, 0, below)) if below or right else images

    def _missing(self, side: int) -> int:
        return max(self.smallest, -(-side // self.multiple) * self.multiple) - side


class Survey(NamedTuple):
    """What was found.

    indices: of `maps` among all those that timm gives.
    size:    height and width in pixels of the images that the network is built for.
    margin:  for images of another size; None takes no others.
    """

    indices: tuple[int, ...]
    maps: tuple[MapSpec, ...]
    width: int
    size: tuple[int, int]
    margin: Margin | None

    def encode(self, net: nn.Module, images: Tensor) -> Encoding:
        """images: [N, C, H, W] -> the promised maps, and the vector before timm's classifier."""
        height, width = images.shape[-2:]
        if self.margin is not None and (height, width) != self.size:
            images = self.margin.pad(images)
        found = run(net, images, self.indices)
        maps = (
            each[..., : -(-height // spec.stride), : -(-width // spec.stride)]
            for each, spec in zip(found.maps, self.maps, strict=True)
        )
        return Encoding(tuple(maps), found.vector)


def run(net: nn.Module, images: Tensor, indices: Sequence[int]) -> Encoding:
    """images: [N, C, H, W] -> the maps of these indices as timm gives them, and the vector."""
    timm = cast(Any, net)
    if indices:
        features, maps = timm.forward_intermediates(images, indices=list(indices))
    else:
        features, maps = timm.forward_features(images), []
    return Encoding(tuple(maps), timm.forward_head(features, pre_logits=True))


def survey(net: nn.Module, name: str, *, in_channels: int, size: tuple[int, int]) -> Survey:
    """Returns what `net`, built on the meta device for images of `size`, gives and takes.

    Raises:
        RecipeError: it gives no maps or no vector.
    """
    claims = _claims(net)
    shadow = _Shadow(net.eval(), in_channels)
    try:
        maps, vector = shadow.run(size, range(len(claims)), Margin())
        _, width = vector.shape
    except Exception as error:  # whatever timm's models raise
        reason = f"{type(error).__name__}: {str(error).partition('. ')[0].rstrip('.')}"
        raise RecipeError(
            f"timm/{name} gives no maps and vector for {size[0]} x {size[1]} px ({reason}); "
            "choose another model"
        ) from error
    kept = [
        place
        for place, (claim, found) in enumerate(zip(claims, maps, strict=True))
        if found.shape[1:] == claim.shape(*size)
    ]
    indices = _chosen(kept, [claim.stride for claim in claims])
    coarsest = max((claim.stride for claim in claims), default=1)
    margin = _margin(shadow, {place: claims[place] for place in indices}, coarsest)
    return Survey(
        indices=indices,
        maps=tuple(MapSpec(f"stage{n}", *claims[place]) for n, place in enumerate(indices, 1)),
        width=width,
        size=size,
        margin=margin,
    )


class _Claim(NamedTuple):
    """What timm says of a map."""

    channels: int
    stride: int

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        return self.channels, -(-height // self.stride), -(-width // self.stride)


def _claims(net: nn.Module) -> list[_Claim]:
    info = cast(Any, getattr(net, "feature_info", []))
    return [_Claim(each["num_chs"], each["reduction"]) for each in getattr(info, "info", info)]


def _chosen(kept: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Returns the last map of each stride; if there is but one stride, a few, evenly spaced."""
    last = {strides[place]: place for place in kept}
    if len(last) > 1:
        return tuple(last[stride] for stride in sorted(last))
    count = min(MAPS_OF_ONE_STRIDE, len(kept))
    return tuple(kept[len(kept) * (step + 1) // count - 1] for step in range(count))


class _Shadow(NamedTuple):
    """A network on the meta device: it runs on tensors that have a shape and no values."""

    net: nn.Module
    in_channels: int

    def run(self, size: tuple[int, int], indices: Sequence[int], margin: Margin) -> Encoding:
        images = torch.empty(1, self.in_channels, *size, device="meta")
        with torch.no_grad():
            return run(self.net, margin.pad(images), indices)


def _margin(shadow: _Shadow, claims: dict[int, _Claim], coarsest: int) -> Margin | None:
    """Returns the least padding with which images of any size give what is claimed, if any."""

    def suffices(margin: Margin, size: tuple[int, int]) -> bool:
        try:
            maps = shadow.run(size, list(claims), margin).maps
        except Exception:  # whatever timm's models raise at a size that they cannot take
            return False
        padded = margin.pad(torch.empty(1, 1, *size, device="meta")).shape[-2:]
        wanted = [claim.shape(*padded) for claim in claims.values()]
        return [tuple(each.shape[1:]) for each in maps] == wanted

    odd = (4 * coarsest + 1, 3 * coarsest + 1)
    for multiple in (1, coarsest, 2 * coarsest):
        if suffices(Margin(multiple), odd):
            sides = (1, coarsest, 2 * coarsest, 4 * coarsest)
            margins = (Margin(multiple, side) for side in sides)
            return next((each for each in margins if suffices(each, (1, 1))), None)
    return None
