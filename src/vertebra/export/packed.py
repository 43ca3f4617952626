"""Convolutions laid out once for this CPU, each with the activation that follows it.

oneDNN, which computes torch's convolutions on a CPU, works on weights in blocks of its own; torch
lays them out anew in every call. Here that is done once, for the size of image that is expected;
other sizes give the same, more slowly.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_ACTIVATIONS: dict[type[nn.Module], Callable[[Any], tuple[str, str | None]]] = {
    nn.ReLU: lambda _: ("relu", None),
    nn.SiLU: lambda _: ("swish", None),
    nn.Hardswish: lambda _: ("hardswish", None),
    nn.GELU: lambda act: ("gelu", act.approximate),
}
"""Activations that oneDNN computes with a convolution: their name there, and which formula."""


def can_pack(device: torch.device) -> bool:
    """Says whether this build of torch packs convolutions for the device."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available()


class PackedConv(nn.Module):
    """A convolution for inference: [N, in_channels, H, W] -> [N, channels, H', W']."""

    def __init__(self, conv: nn.Conv2d, size: tuple[int, ...]) -> None:
        """`size`: of the images that are expected, [N, in_channels, H, W]."""
        super().__init__()
        weight, bias = conv.weight.detach(), conv.bias
        self._shape = [list(map(int, each)) for each in (conv.padding, conv.stride, conv.dilation)]
        self._groups = conv.groups
        # no parameters: packed weights have no strides, so they cannot be saved, moved or cast
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight.contiguous(), *self._shape, self._groups, list(size)
        )
        self._bias = None if bias is None else bias.detach()
        self._after: tuple[str, str | None] = ("none", None)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, H', W']."""
        name, formula = self._after
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, *self._shape, self._groups, name, [], formula
        )

    def takes(self, act: nn.Module) -> bool:
        """Makes the activation part of the convolution, and says whether it could."""
        if type(act) not in _ACTIVATIONS or self._after[0] != "none":
            return False
        self._after = _ACTIVATIONS[type(act)](act)
        return True


def pack(net: nn.Module, images: Tensor, *, batch_size: int | None = None) -> int:
    """Packs the convolutions of a network in evaluation, in place, and returns how many.

    images:     any of the size that is expected; convolutions that they do not reach stay, as do
                those that pad with other than zeros.
    batch_size: images in a call that are expected; by default as many as these.
    """
    count = batch_size or len(images)
    packed = {
        conv: PackedConv(conv, (count, *shape)) for conv, shape in _reached(net, images).items()
    }
    uses = Counter[PackedConv]()
    for name, part in [*net.named_modules(remove_duplicate=False)]:
        if name and isinstance(part, nn.Conv2d) and part in packed:
            net.set_submodule(name, packed[part])
            uses[packed[part]] += 1
    for part in net.modules():
        if type(part) is nn.Sequential:
            _join(part, uses)
    return len(uses)


def _reached(net: nn.Module, images: Tensor) -> dict[nn.Conv2d, tuple[int, ...]]:
    """Returns what each convolution that can be packed is given, [in_channels, H, W]."""
    sizes: dict[nn.Conv2d, tuple[int, ...]] = {}

    def note(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(conv, nn.Conv2d):
            sizes[conv] = tuple(inputs[0].shape[1:])

    # a subclass may do more than convolve
    plain = [part for part in net.modules() if type(part) is nn.Conv2d]
    hooks = [
        part.register_forward_pre_hook(note)
        for part in plain
        if part.padding_mode == "zeros" and not isinstance(part.padding, str)
    ]
    with torch.no_grad():
        net(images)
    for hook in hooks:
        hook.remove()
    return sizes


def _join(parts: nn.Sequential, uses: Counter[PackedConv]) -> None:
    """Takes activations into the convolutions right before them that are used nowhere else."""
    for place in range(1, len(parts)):
        before, act = parts[place - 1], parts[place]
        if isinstance(before, PackedConv) and uses[before] == 1 and before.takes(act):
            parts[place] = nn.Identity()
