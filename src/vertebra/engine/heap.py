"""Where large tensors lie in a CPU's memory: in the heap, so that what was touched is used again.

glibc gives each large block pages of its own and hands them back when it is freed. A network frees
and asks for the same activations in every pass, so that each pass pays again for the kernel's
zeroed pages. In the heap they stay, and the next pass finds them. There they can lie in large pages
too, see `large_pages.py`.
"""

import ctypes
import os
import platform
import sys
from functools import cache
from typing import TYPE_CHECKING

from vertebra.engine.large_pages import can_be_large, is_long, lengthen

if TYPE_CHECKING:  # MKL has to be told before torch is imported
    import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Numbers of glibc's options, from malloc.h."""

_LARGE = 2**17
"""Bytes of a block from which it has pages of its own; glibc begins with as many, and then takes
more and more."""

_OWN_SETTINGS = ("GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")
"""Environment variables by which a user has chosen an allocator or its behaviour."""


def can_keep(device: "torch.device") -> bool:
    """Says whether `keep_in_heap` does anything: not where the device is no CPU, without glibc, or
    where the environment has chosen (`GLIBC_TUNABLES`, `LD_PRELOAD`, `MALLOC_MMAP_MAX_`,
    `MALLOC_MMAP_THRESHOLD_`)."""
    return device.type == "cpu" and _can_choose()


def _can_choose() -> bool:
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    return not any(os.environ.get(name) for name in _OWN_SETTINGS)


def give_buffers_back() -> bool:
    """Has MKL, where torch multiplies matrices with it, free each buffer after use, if freed memory
    can be kept: the next product finds it again, and so can others; returns whether it is told.

    Comes before torch is imported, and holds for the process and those that it starts.
    """
    can_choose = _can_choose()
    if can_choose:
        os.environ["MKL_DISABLE_FAST_MM"] = "1"
    return can_choose


def keep_out_of_heap(device: "torch.device") -> bool:
    """Has this process put large tensors elsewhere, each in pages that are handed back when it is
    freed, until `keep_in_heap`; returns whether it does. It has no effect afterwards.

    What is made meanwhile and stays, kernels and the like, lies close together in the heap.
    Processes that are forked, as workers that decode images are, keep what they free at once.
    """
    if not can_keep(device):
        return False
    _let_forks_keep()
    return bool(ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE))


@cache
def _let_forks_keep() -> None:
    os.register_at_fork(after_in_child=lambda: _keep(ctypes.CDLL(None)))


def _keep(libc: ctypes.CDLL) -> bool:
    # -1 is the largest size there is: the heap's end is never given back
    return bool(libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, -1))


def keep_in_heap(device: "torch.device") -> bool:
    """Has this process keep freed memory for its next large tensors, in large pages where it can;
    returns whether it does.

    It holds from now on for the whole process and those that are forked from it.
    """
    if not can_keep(device):
        return False
    libc = ctypes.CDLL(None)
    kept = _keep(libc)
    if kept and can_be_large() and not is_long(libc):
        lengthen(libc)
    return kept


def give_back(device: "torch.device") -> bool:
    """Hands what is free in this process back, once; returns whether it did.

    After work unlike what follows: holes that it left would not fit the next large tensors.
    """
    if not can_keep(device):
        return False
    libc = ctypes.CDLL(None)
    was_long = can_be_large() and is_long(libc)
    found = bool(libc.malloc_trim(0))
    if was_long:  # it has cut the heap short
        lengthen(libc)
    return found
