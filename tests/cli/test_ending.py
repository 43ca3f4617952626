"""A command's process ends at once, with its code, and after all that was to be done."""

import subprocess
import sys
from pathlib import Path

import pytest

BEFORE = """
import atexit, sys, threading, time
from vertebra.cli.ending import Ending

class Teardown:
    def __del__(self):
        print("taken apart")

ending = Ending()
kept = sys.modules["kept"] = Teardown()
atexit.register(print, "at exit")
"""


def run(program: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-E", "-c", BEFORE + program], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("code", [0, 2])
def test_what_waits_for_the_end_is_done_and_nothing_taken_apart(code: int):
    thread = "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n"
    found = run(f"{thread}print('said', end='\\n'); ending.exit({code})")
    assert found == (code, ["said", "thread", "at exit"], "")


def test_an_error_ends_as_ever():
    code, said, errors = run("raise RuntimeError('why')")
    assert code == 1 and errors.endswith("RuntimeError: why\n")
    assert said == ["at exit", "taken apart"]


def test_what_cannot_be_written_is_not_passed_over():
    code, _, errors = run("print('x'); import os; os.close(1); ending.exit(0)")
    assert code == 120 and "Bad file descriptor" in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["models"], ["--version"]])
def test_where_there_is_no_room_an_error_is_one_sentence(arguments: list[str]):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vertebra", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    told = "error: there is no room for what is printed; make room where it goes\n"
    assert (done.returncode, done.stderr) == (2, told)
