"""Parts of timm's networks that are simpler in evaluation, made so as timm says.

Branches that add up to one convolution (RepVGG, MobileOne, GhostNetV3, FastViT), norms before or
behind linear maps (NextViT, LeViT). Such a part has a method: `fuse` returns another one in its
place, `reparameterize` and `switch_to_deploy` change it.

Source: RepVGG: Making VGG-style ConvNets Great Again (2021), section 3.3; the sums are timm's.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vertebra.contracts import Foldable

_LIBRARY = "timm."
"""What the modules of timm's classes begin with: methods of others may mean anything."""


@torch.no_grad()
def merge_branches(net: nn.Module) -> None:
    """Changes `net`, and leaves it in evaluation, where it gives the same up to rounding.

    No tensor that others hold is written over. What folds by itself is left alone.
    """
    _merge_within(net)
    net.eval()  # what is new starts in training mode


def _merge_within(net: nn.Module) -> None:
    for name, part in [*net.named_children()]:
        if isinstance(part, Foldable):
            continue
        simple = _simple(part)
        setattr(net, name, simple)
        _merge_within(simple)


def _simple(part: nn.Module) -> nn.Module:
    """Returns the part as it is in evaluation, which may be the part itself, changed."""
    is_merged = getattr(part, "reparam_conv", None) is not None
    if not type(part).__module__.startswith(_LIBRARY) or is_merged:
        return part
    fuse = _method(part, "fuse")
    change = _method(part, "reparameterize") or _method(part, "switch_to_deploy")
    if fuse or change:
        for tensor in (*part.parameters(), *part.buffers()):
            tensor.data = tensor.data.clone()  # NextViT's are multiplied where they lie
    if fuse:
        return fuse()
    if change:
        change()
    return part


def _method(part: nn.Module, name: str) -> Callable[[], Any] | None:
    found = getattr(part, name, None)
    return found if callable(found) and not isinstance(found, nn.Module) else None
