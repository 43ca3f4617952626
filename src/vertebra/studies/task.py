"""One run of a study: a command line, in a process of its own.

The process is the one that `vertebra train` would be by hand. So a run that is killed for its
memory takes no other with it, and wherever runs go, they are the same.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from vertebra.errors import Interrupted
from vertebra.records import RunDirectory

POLL_SECONDS = 0.2
"""How often a process is asked whether it has ended."""

PROGRAM: Sequence[str] = (sys.executable, "-m", "vertebra")

State: TypeAlias = Literal["finished", "failed", "stopped", "interrupted"]
"""Stopped was for a reason that the study gave; interrupted came from outside. Both can go on."""


class Task(NamedTuple):
    """A run that is to be made.

    recipe:    the file that it replays.
    directory: the run directory; one that was cut off is continued.
    log:       what the process prints.
    threads:   of the process; None leaves it to torch.
    """

    name: str
    recipe: Path
    directory: Path
    log: Path
    threads: int | None


Watch: TypeAlias = Callable[[Task], str | None]
"""Looks at a run under way; a reason that it gives stops the run."""


class End(NamedTuple):
    """How a run's process ended.

    reason: the last thing it said, or why it was stopped; "" where it finished.
    """

    task: Task
    state: State
    reason: str
    seconds: float


def carry_out(
    task: Task, *, environment: Mapping[str, str] | None = None, watch: Watch | None = None
) -> End:
    """Returns how the run ended, after its process has.

    environment: variables of the process, beside those of this one.
    watch:       is asked every moment whether the run should stop.
    """
    began = time.perf_counter()
    task.log.parent.mkdir(parents=True, exist_ok=True)
    asked = None
    with task.log.open("ab") as log:
        process = subprocess.Popen(
            _command(task),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_threads(task.threads), **(environment or {})},
        )
        try:
            while (exit_code := _ended(process)) is None:
                if watch is not None and asked is None and (asked := watch(task)) is not None:
                    process.terminate()  # it saves where it is
        except BaseException:
            process.terminate()
            process.wait()
            raise
    state, reason = _outcome(exit_code, asked, task.log)
    return End(task, state, reason, time.perf_counter() - began)


def _command(task: Task) -> list[str]:
    if RunDirectory(task.directory).recipe.is_file():
        return [*PROGRAM, "resume", str(task.directory)]
    shutil.rmtree(task.directory, ignore_errors=True)  # a kill may have left it half opened
    return [*PROGRAM, "train", "--recipe", str(task.recipe), "--out", str(task.directory)]


def _threads(threads: int | None) -> dict[str, str]:
    return {} if threads is None else {"OMP_NUM_THREADS": str(threads)}


def _ended(process: "subprocess.Popen[bytes]") -> int | None:
    try:
        return process.wait(timeout=POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _outcome(exit_code: int, asked: str | None, log: Path) -> tuple[State, str]:
    """Returns state and reason; a run that was asked to stop may have finished all the same."""
    if exit_code == 0:
        return "finished", ""
    if asked is not None:
        return "stopped", asked
    if exit_code in (Interrupted.exit_code, 130, -signal.SIGINT, -signal.SIGTERM):
        return "interrupted", "told to stop"
    if exit_code < 0:
        hint = ", usually for lack of memory" if exit_code == -9 else ""
        return "failed", f"ended by signal {-exit_code}{hint}"
    return "failed", _last_line(log) or f"ended with exit code {exit_code}"


def _last_line(log: Path) -> str:
    """Returns the last thing that was said, without "error: "."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        last = deque((line.strip() for line in lines if line.strip()), maxlen=1)
    return last[0].removeprefix("error: ") if last else ""
