"""A model without its numbers: all weights are 0, and take no memory."""

from copy import deepcopy

import torch
from torch import Tensor, nn

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def shadow(model: nn.Module) -> nn.Module:
    """Returns a copy in evaluation mode on the CPU, of zeros that are stored once for a tensor, and
    without batch norms, which keep shapes."""
    memo: dict[int, Tensor] = {}
    for parameter in model.parameters():
        # as it is deployed: torch takes a product by a matrix that learns apart in another way
        memo[id(parameter)] = nn.Parameter(zeros_like(parameter), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = zeros_like(buffer)
    net = deepcopy(model, memo).eval()
    for name, part in [*net.named_modules(remove_duplicate=False)]:
        if name and type(part) in _NORMS:
            net.set_submodule(name, nn.Identity())
    return net


def shadow_image(
    model: nn.Module, *, image_size: int | tuple[int, int], in_channels: int
) -> Tensor:
    """Returns one image [1, in_channels, H, W] of zeros, in the model's own dtype."""
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    return torch.zeros(1, in_channels, height, width, dtype=dtype)


def zeros_like(tensor: Tensor) -> Tensor:
    """Returns a tensor of the same shape and type, on the CPU, that stores a single 0."""
    return torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
