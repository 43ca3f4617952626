"""Where large tensors lie in a CPU's memory: in the heap, so that what was touched is used again.

glibc gives each large block pages of its own and hands them back when it is freed. A network frees
and asks for the same activations in every pass, so that each pass pays again for the kernel's
zeroed pages. In the heap they stay, and the next pass finds them.
"""

import ctypes
import os
import platform
import sys

import torch

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Numbers of glibc's options, from malloc.h."""

_OWN_SETTINGS = ("GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")
"""Environment variables by which a user has chosen an allocator or its behaviour."""


def can_keep(device: torch.device) -> bool:
    """Says whether `keep_in_heap` does anything: not where the device is no CPU, without glibc, or
    where the environment has chosen (`GLIBC_TUNABLES`, `LD_PRELOAD`, `MALLOC_MMAP_MAX_`,
    `MALLOC_MMAP_THRESHOLD_`)."""
    if device.type != "cpu" or sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    return not any(os.environ.get(name) for name in _OWN_SETTINGS)


def keep_in_heap(device: torch.device) -> bool:
    """Has this process keep freed memory for its next large tensors; returns whether it does.

    It holds from now on for the whole process and those that are forked from it.
    """
    if not can_keep(device):
        return False
    options = ctypes.CDLL(None)
    # -1 is the largest size there is: the heap's end is never given back
    return bool(options.mallopt(_MMAP_MAX, 0) and options.mallopt(_TRIM_THRESHOLD, -1))


def give_back(device: torch.device) -> bool:
    """Hands what is free in this process back, once; returns whether it did.

    After work unlike what follows: holes that it left would not fit the next large tensors.
    """
    return can_keep(device) and bool(ctypes.CDLL(None).malloc_trim(0))
