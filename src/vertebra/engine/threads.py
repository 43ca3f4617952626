"""How many threads torch computes with on a CPU: as many as there are cores for this process.

torch counts the machine's cores. In a container that is granted fewer, its threads would wait for
each other.
"""

import os

import torch

from vertebra.cores import usable_cores

_OWN_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which a user, or what has started this process, has chosen."""


def thread_count() -> int:
    """Returns the threads to compute with: torch's, but no more than there are cores, unless the
    environment has chosen."""
    count = torch.get_num_threads()
    return count if any(map(os.environ.get, _OWN_SETTINGS)) else min(count, usable_cores())


def limit_threads(device: torch.device) -> None:
    """Has torch compute with `thread_count` threads in this process, where the device is a CPU."""
    if device.type == "cpu" and torch.get_num_threads() != thread_count():
        torch.set_num_threads(thread_count())
