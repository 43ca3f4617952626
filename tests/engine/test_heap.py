"""Large tensors in the heap: seen in the page faults of another process, and left to the user."""

import resource
import subprocess
import sys

import pytest
import torch

from vertebra.engine import heap

CPU = torch.device("cpu")

PROGRAM = """
import resource, sys, torch
from vertebra.engine.heap import keep_in_heap
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    assert keep_in_heap(torch.device("cpu"))

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def touch():
    torch.ones(12_000_000)  # 48 MB: glibc by itself never keeps blocks above 32

for _ in range(3):  # places settle
    touch()
before = faults()
for _ in range(9):
    touch()
print(faults() - before)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")


@linux
def test_memory_that_was_freed_is_used_again():
    kept, plain = (
        int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, how],
                capture_output=True,
                text=True,
                check=True,
                env={},
            ).stdout
        )
        for how in ("kept", "plain")
    )
    assert kept < 450 < 100_000 < plain


APART = """
import os, resource, torch
from vertebra.engine.heap import keep_in_heap, keep_out_of_heap
torch.set_num_threads(1)
CPU = torch.device("cpu")

def faults():
    for _ in range(20):  # places settle
        torch.ones(2_000_000)  # 8 MB: glibc may keep such blocks once it has freed one
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(9):
        torch.ones(2_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert keep_out_of_heap(CPU)
print(faults())
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, str(faults()).encode())
    os._exit(0)
print(os.read(read, 16).decode())
assert keep_in_heap(CPU)
print(faults())
"""


@linux
def test_large_tensors_lie_apart_until_they_are_kept():
    command = [sys.executable, "-c", APART]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={})
    apart, forked, kept = map(int, run.stdout.split())
    assert max(forked, kept) < 450 < 9 * 8_000_000 // resource.getpagesize() <= apart


LEAVING_HOLES = """
import resource, torch
from vertebra.engine.heap import give_back, keep_in_heap
CPU = torch.device("cpu")
assert keep_in_heap(CPU)

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

large = [torch.ones(5_000_000) for _ in range(10)]  # 200 MB
above = torch.ones(1_000_000)  # keeps the heap's end where it is
del large
before = resident_mb()
assert give_back(CPU)
print(before - resident_mb())
"""


@linux
def test_what_is_free_is_given_back_once():
    command = [sys.executable, "-c", LEAVING_HOLES]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={})
    assert 180 < float(run.stdout) < 220


@linux
@pytest.mark.parametrize("name", ["GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_MMAP_MAX_"])
def test_what_the_user_has_chosen_stays(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "anything")
    assert not heap.keep_in_heap(CPU) and not heap.give_back(CPU)
    assert not heap.keep_out_of_heap(CPU)


def test_other_devices_are_left_alone():
    assert not heap.keep_in_heap(torch.device("meta"))


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    assert not heap.keep_in_heap(CPU)
    monkeypatch.setattr(heap.sys, "platform", "linux")
    monkeypatch.setattr(heap.platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not heap.keep_in_heap(CPU)
