"""The memory layout in which the channels of a pixel lie beside each other."""

from itertools import chain

import torch
from torch import nn

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Rank of a convolution's weight -> its layout: over rows and columns, or frames as well."""


def lay_out_by_pixel(module: nn.Module) -> None:
    """Lays out the weights of 2D and 3D convolutions by pixel, in place; values stay."""
    for tensor in chain(module.parameters(), module.buffers()):
        if tensor.ndim in LAYOUTS:
            tensor.data = tensor.data.contiguous(memory_format=LAYOUTS[tensor.ndim])
