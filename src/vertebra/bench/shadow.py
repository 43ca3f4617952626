"""A model without its numbers: shapes alone, so that its costs are counted and nothing computed."""

from copy import deepcopy

import torch
from torch import Tensor, nn


def shadow(model: nn.Module) -> nn.Module:
    """Returns a copy in evaluation mode whose tensors have a shape and no storage."""
    memo: dict[int, Tensor] = {}
    for parameter in model.parameters():
        # without gradients: torch's counters stumble over a parameter that a part is called with
        memo[id(parameter)] = nn.Parameter(
            torch.empty_like(parameter, device="meta"), requires_grad=False
        )
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return deepcopy(model, memo).eval()


def shadow_image(
    model: nn.Module, *, image_size: int | tuple[int, int], in_channels: int
) -> Tensor:
    """Returns one image [1, in_channels, H, W] without storage, in the model's own dtype."""
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    return torch.empty(1, in_channels, height, width, dtype=dtype, device="meta")
