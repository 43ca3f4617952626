"""Large pages: told by Linux of the part of memory in which a tensor lies, in another process."""

import subprocess
import sys
from pathlib import Path

import pytest

from vertebra.engine import large_pages
from vertebra.engine.large_pages import can_be_large

PROGRAM = """
import os, resource, sys, torch
from vertebra.engine.heap import give_back, keep_in_heap
from vertebra.engine.large_pages import can_be_large
CPU = torch.device("cpu")

def is_large(tensor):
    place, within = tensor.data_ptr() + tensor.nbytes // 2, False  # the first page may be small
    with open("/proc/self/smaps") as file:
        for line in file:
            first, *others = line.split()
            if "-" in first:
                start, end = (int(each, 16) for each in first.split("-"))
                within = start <= place < end
            elif within and first == "VmFlags:":
                return "hg" in others

def length():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0])

def pages():
    return os.sysconf("SC_PHYS_PAGES")
"""

can = pytest.mark.skipif(not can_be_large(), reason="Linux gives no large pages here")


def printed(rest: str) -> list[str]:
    """Returns what a program prints that goes on with these lines."""
    command = [sys.executable, "-c", PROGRAM + rest]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={})
    return run.stdout.split()


@can
def test_tensors_lie_in_large_pages_once_memory_is_kept():
    assert printed("""
print(is_large(torch.ones(5_000_000)))
keep_in_heap(CPU)
large = torch.ones(5_000_000)
print(is_large(large))
""") == ["False", "True"]


@can
def test_they_still_do_after_memory_went_back():
    assert printed("""
keep_in_heap(CPU)
large = torch.ones(50_000_000)
del large
print(give_back(CPU), is_large(torch.ones(50_000_000)))
""") == ["True", "True"]


@can
def test_memory_that_was_not_kept_goes_back_without_large_pages():
    assert printed("""
before = length()
print(give_back(CPU), length() <= before)
""") == ["True", "True"]


@can
def test_the_heap_is_lengthened_once_by_half_of_the_memory():
    assert printed("""
before = length()
keep_in_heap(CPU)
once = length()
used = torch.empty(5_000_000)
keep_in_heap(CPU)
print((once - before) * 2 // (pages() // 100) in (100, 101), length() == once)
""") == ["True", "True"]


@can
def test_a_process_with_little_address_space_is_left_alone():
    assert printed("""
resource.setrlimit(resource.RLIMIT_AS, (2**36, 2**36))
before = length()
print(can_be_large(), keep_in_heap(CPU), length() == before)
""") == ["False", "True", "True"]


@pytest.mark.parametrize(
    ("enabled", "overcommit", "size", "can_be"),
    [
        ("always [madvise] never", "0", "2097152", True),
        ("[always] madvise never", "1", "2097152", True),
        ("always madvise [never]", "0", "2097152", False),
        ("always [madvise] never", "2", "2097152", False),
        ("always [madvise] never", "0", None, False),
        (None, "0", "2097152", False),
    ],
)
def test_the_machine_is_asked(
    enabled: str | None,
    overcommit: str,
    size: str | None,
    can_be: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    files = {"_ENABLED": enabled, "_OVERCOMMIT": overcommit, "_LARGE": size}
    for name, text in files.items():
        monkeypatch.setattr(large_pages, name, tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(large_pages, "_LIMITS", ())
    assert can_be_large() is can_be
