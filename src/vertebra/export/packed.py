"""Convolutions and linear maps laid out once for this CPU, each with the activation that follows.

oneDNN, which computes torch's convolutions on a CPU, works on weights in blocks of its own; torch
lays them out anew in every call. Here that is done once, for the size of image that is expected;
other sizes give the same, more slowly. Linear maps, which torch gives to another library, gain too.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

_ACTIVATIONS: Mapping[type[nn.Module], Callable[[Any], tuple[str, str | None]]] = {
    nn.ReLU: lambda _: ("relu", None),
    nn.SiLU: lambda _: ("swish", None),
    nn.Hardswish: lambda _: ("hardswish", None),
    nn.GELU: lambda act: ("gelu", act.approximate),
}
"""Activations that oneDNN computes with what is before them: their name there, and a formula."""


def can_pack(device: torch.device) -> bool:
    """Says whether this build of torch packs weights for the device."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available()


class Packed(nn.Module):
    """A part for inference whose weights are packed, and the activation that it ends with.

    It shows what the part has shown: its settings, and a weight of the same shape and type that
    takes no memory and is NaN, so that answers which use its values are no numbers.
    """

    def __init__(self, part: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        for name in part.__constants__:
            setattr(self, name, getattr(part, name))
        self.weight = part.weight.detach().new_full((), nan).expand(part.weight.shape)
        bias = dict(part.named_parameters()).get("bias")
        self.bias = None if bias is None else bias.detach()
        self.after: tuple[str, str | None] = ("none", None)

    def takes(self, act: nn.Module) -> bool:
        """Makes the activation part of this, and says whether it could."""
        if type(act) not in _ACTIVATIONS or self.after[0] != "none":
            return False
        self.after = _ACTIVATIONS[type(act)](act)
        return True


class PackedConv(Packed):
    """A convolution for inference: [N, in_channels, H, W] -> [N, channels, H', W']."""

    def __init__(self, conv: nn.Conv2d, size: tuple[int, ...]) -> None:
        """`size`: of the images that are expected, [N, in_channels, H, W]."""
        super().__init__(conv)
        shape = [list(map(int, each)) for each in (conv.padding, conv.stride, conv.dilation)]
        self._shape = (*shape, conv.groups)
        # no parameter: packed weights have no strides, so they cannot be saved, moved or cast
        self._packed = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach().contiguous(), *self._shape, list(size)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, H', W']."""
        name, formula = self.after
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.bias, *self._shape, name, [], formula
        )


class PackedLinear(Packed):
    """A linear map for inference, of the last axis: [..., in_features] -> [..., features]."""

    def __init__(self, linear: nn.Linear, size: tuple[int, ...]) -> None:
        """`size`: of what is expected, [..., in_features]."""
        super().__init__(linear)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(
            linear.weight.detach().contiguous(), torch.Size(size[:-1]).numel()
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in_features] -> [..., features]."""
        name, formula = self.after
        return torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self.bias, name, [], formula or ""
        )


_PACKED: Mapping[type[nn.Module], Callable[[Any, tuple[int, ...]], Packed]] = {
    nn.Conv2d: PackedConv,
    nn.Linear: PackedLinear,
}


def pack(net: nn.Module, images: Tensor, *, batch_size: int | None = None) -> int:
    """Packs convolutions and linear maps of a network in evaluation, in place; returns how many.

    images:     any of the size that is expected; parts that they do not reach stay, as do
                convolutions that pad with other than zeros.
    batch_size: images in a call that are expected; by default as many as these.
    """
    count = batch_size or len(images)
    packed = {
        part: _PACKED[type(part)](part, (shape[0] * count // len(images), *shape[1:]))
        for part, shape in _reached(net, images).items()
    }
    uses = Counter[Packed]()
    for name, part in [*net.named_modules(remove_duplicate=False)]:
        if name and part in packed:
            net.set_submodule(name, packed[part])
            uses[packed[part]] += 1
    for part in net.modules():
        if type(part) is nn.Sequential:
            _join(part, uses)
    return len(uses)


def _reached(net: nn.Module, images: Tensor) -> dict[nn.Module, tuple[int, ...]]:
    """Returns what each part that can be packed is given, its first axis that of the images."""
    sizes: dict[nn.Module, tuple[int, ...]] = {}

    def note(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[part] = tuple(inputs[0].shape)

    hooks = [part.register_forward_pre_hook(note) for part in net.modules() if _can_be_packed(part)]
    with torch.no_grad():
        net(images)
    for hook in hooks:
        hook.remove()
    return sizes


def _can_be_packed(part: nn.Module) -> bool:
    if type(part) is nn.Conv2d:  # a subclass may do more than convolve
        return part.padding_mode == "zeros" and not isinstance(part.padding, str)
    return type(part) is nn.Linear


def _join(parts: nn.Sequential, uses: Counter[Packed]) -> None:
    """Takes activations into the parts right before them that are used nowhere else."""
    for place in range(1, len(parts)):
        before, act = parts[place - 1], parts[place]
        if isinstance(before, Packed) and uses[before] == 1 and before.takes(act):
            parts[place] = nn.Identity()
