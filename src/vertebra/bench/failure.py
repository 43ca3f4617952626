"""Why a model could not be measured, in a sentence; the others are measured all the same."""

import re

import torch

FAILURES = (RuntimeError, ValueError, AssertionError, MemoryError)
"""What a model raises that is too large, or that does not take images of this size."""

_LONGEST = 160
_NO_CPU_MEMORY = re.compile(r"DefaultCPUAllocator: (not enough|can't allocate) memory")


def reason(error: Exception, *, doing: str) -> str:
    """Returns what went wrong while `doing` something, on one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if is_out_of_memory(error):
        return f"{doing}: out of memory"
    said = re.sub(r"\s+", " ", lines[0])
    return f"{doing}: {said if len(said) <= _LONGEST else f'{said[: _LONGEST - 1]}…'}"


def is_out_of_memory(error: Exception) -> bool:
    """Says whether less memory would have done; torch has no class of its own for the CPU's."""
    is_cpu = isinstance(error, RuntimeError) and _NO_CPU_MEMORY.search(str(error)) is not None
    return is_cpu or isinstance(error, MemoryError | torch.OutOfMemoryError)
