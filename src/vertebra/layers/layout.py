"""The memory layout in which the channels of a pixel lie beside each other."""

from itertools import chain

import torch
from torch import nn

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Rank of a convolution's weight -> its layout: over rows and columns, or frames as well."""


def lay_out_by_pixel(module: nn.Module) -> None:
    """Lays out the weights of 2D and 3D convolutions by pixel, in place; values stay.

    So are strides that sides of one pixel leave open: 2D convolutions give gradients these, and
    processes that exchange gradients want them as the weights are.
    """
    for tensor in chain(module.parameters(), module.buffers()):
        if tensor.ndim in LAYOUTS:
            layout = LAYOUTS[tensor.ndim]
            strides = torch.empty(tensor.shape, device="meta", memory_format=layout).stride()
            laid_out = tensor.data.contiguous(memory_format=layout)
            tensor.data = laid_out.as_strided(tensor.shape, strides)
