"""Buffers of matrix products are free for others when a product is done."""

import os
import platform
import subprocess
import sys

import pytest
import torch

OWN = ("MKL_", "MALLOC_", "GLIBC_", "LD_PRELOAD")

PRODUCT = """
import ctypes
from vertebra.engine.heap import give_buffers_back
{choice}
import torch

class Heap(ctypes.Structure):
    _fields_ = [(str(place), ctypes.c_size_t) for place in range(10)]

def used():
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Heap
    found = libc.mallinfo2()
    return getattr(found, "4") + getattr(found, "7")  # hblkhd, uordblks

left, right = torch.randn(96, 65536), torch.randn(65536, 16)
before = used()
product = left @ right
print(used() - before)
"""

COMMAND = """
import os, sys
import vertebra.cli.main
assert "torch" not in sys.modules
sys.argv[1:] = ["--version"]
try:
    vertebra.cli.main.main()
except SystemExit:
    print(os.environ.get("MKL_DISABLE_FAST_MM"))
"""


def said(program: str, **chosen: str) -> str:
    own = {name: each for name, each in os.environ.items() if not name.startswith(OWN)} | chosen
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=own
    )
    return done.stdout.split()[-1]


@pytest.mark.skipif(
    not torch.backends.mkl.is_available() or platform.libc_ver()[0] != "glibc",
    reason="needs MKL and glibc",
)
def test_a_product_leaves_no_buffers():
    kept = int(said(PRODUCT.format(choice="give_buffers_back()")))
    assert kept < 2**20 < int(said(PRODUCT.format(choice="")))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc keeps memory")
def test_commands_have_them_given_back_unless_the_environment_chooses_the_allocator():
    assert said(COMMAND) == "1"
    assert said(COMMAND, MALLOC_MMAP_MAX_="65536") == "None"
