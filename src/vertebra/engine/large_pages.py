"""A heap in large pages: the processor finds the places of activations without walking tables.

Linux gives memory out in pages of 4 KiB unless a process asks for larger ones (2 MiB on x86), and
its processor remembers where some thousand pages lie. Activations are more than that. Pages become
large as they are first touched, so the heap is made long beforehand: what is not touched takes no
memory.
"""

import ctypes
import os
import resource
from pathlib import Path

_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_LARGE = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
_OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
_STAT = Path("/proc/self/stat")

_ADVICE = 14
"""MADV_HUGEPAGE, from mman.h."""

_START_OF_HEAP = 44
"""Place of `start_brk` behind the program's name in /proc/self/stat."""

_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA)


def can_be_large() -> bool:
    """Says whether Linux gives large pages to who asks, and address space that is not used yet:
    not where it counts against a limit of this process or against all memory there is."""
    try:
        enabled, overcommit, _ = (each.read_text() for each in (_ENABLED, _OVERCOMMIT, _LARGE))
    except OSError:  # no such pages, or none of Linux's files
        return False
    refused = "[never]" in enabled or overcommit.strip() == "2"
    limited = any(resource.getrlimit(each)[0] != resource.RLIM_INFINITY for each in _LIMITS)
    return not (refused or limited)


def is_long(libc: ctypes.CDLL) -> bool:
    """Says whether the heap of this process is as long as `lengthen` makes it."""
    libc.sbrk.restype = ctypes.c_void_p
    after_name = _STAT.read_text().rpartition(")")[2].split()
    return libc.sbrk(0) - int(after_name[_START_OF_HEAP]) >= _length()


def lengthen(libc: ctypes.CDLL) -> bool:
    """Makes the heap as long as half of the memory there is, its new part in large pages; returns
    whether they are. Large blocks have to lie in the heap.

    A second half is left to itself: Linux copies no process whose parts are longer than memory.
    """
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    length, page = _length(), int(_LARGE.read_text())
    start = libc.malloc(length)
    if start is None:
        return False
    first, end = -(-start // page) * page, (start + length) // page * page
    failed = libc.madvise(first, end - first, _ADVICE)
    libc.free(start)
    return not failed


def _length() -> int:
    """Returns half of the machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
