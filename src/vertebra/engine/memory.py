"""The most memory that a run has held so far."""

import resource
import sys

import torch


def peak_memory_mb(device: torch.device) -> float:
    """Returns mebibytes: allocated on a CUDA device, else resident in this process (workers not
    counted)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
