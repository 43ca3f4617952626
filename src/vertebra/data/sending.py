"""Tensors on their way from the host to a device that is still at work."""

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Returns a tensor of the CPU's on the device; nobody may write to it meanwhile.

    To CUDA it goes from pinned memory, else the copy would wait for all that the device has to do.
    """
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type != "cpu")
