"""Several processes that train as one: who this process is, and the few sums they exchange.

Processes are started by torchrun or by `launch`; both set the same environment variables. Rank 0
writes files and talks to the terminal.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vertebra.cores import usable_cores
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.reading import Reading
from vertebra.engine.said import FOLDER
from vertebra.errors import DeviceError

GRACE_SECONDS = 30.0
"""After a process has failed, the others may take this long, e.g. to finish a save."""


@dataclass(frozen=True)
class World:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @classmethod
    def of_environment(cls) -> "World":
        """Returns the place that torchrun or `launch` gave this process; alone, the only one."""
        return cls(
            rank=int(os.environ.get("RANK", "0")),
            size=int(os.environ.get("WORLD_SIZE", "1")),
            local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        )

    @property
    def _meeting_place(self) -> torch.device:
        """Where tensors have to be for processes to exchange them."""
        is_nccl = dist.get_backend() == "nccl"
        return torch.device("cuda", self.local_rank) if is_nccl else torch.device("cpu")

    def total(self, value: Tensor) -> Tensor:
        """Returns the sum over all processes; alone, the value itself.

        On CUDA nobody waits for a value that is there; another one is sent there and waited for.
        """
        if self.size == 1:
            return value
        summed = value.clone().to(self._meeting_place)
        dist.all_reduce(summed)
        return summed.to(value.device)

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is set in any process; all must ask."""
        return any(self.ask(flag).values)

    def ask(self, flag: bool) -> Reading:
        """Returns in how many processes the flag is set, to be read later without a wait; all must
        ask."""
        count = torch.tensor([flag], dtype=torch.int32)
        if self.size > 1:
            count = count.to(self._meeting_place, non_blocking=True)
            dist.all_reduce(count)
        return Reading(count)

    def align(self, module: nn.Module) -> None:
        """Gives every process the buffers (batch statistics) of rank 0."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def wait(self) -> None:
        """Returns when every process has come here."""
        self.total(torch.zeros(1))


def is_launched() -> bool:
    """Returns whether torchrun or `launch` started this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def joined(device_type: str) -> Generator[World]:
    """Joins the processes that were started together (or none) and leaves them at the end.

    Raises:
        DeviceError: the processes cannot reach each other, or one of them has ended.
    """
    if not is_launched():
        yield World()
        return
    world = World.of_environment()
    try:
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"{world.size} processes could not join at {os.environ.get('MASTER_ADDR')}:"
            f"{os.environ.get('MASTER_PORT')} ({error}); choose a free MASTER_PORT"
        ) from error
    try:
        yield world
    except RuntimeError as error:
        if not _lost_another(error):
            raise
        raise DeviceError(
            f"process {world.rank} of {world.size} lost another one ({error}); "
            f"see what that one says"
        ) from error
    finally:
        dist.destroy_process_group()


def _lost_another(error: RuntimeError) -> bool:
    """Returns whether an exchange failed because a process is gone; gloo has no class for it."""
    return isinstance(error, dist.DistBackendError) or "gloo" in str(error)


def launch(command: Sequence[str], processes: int) -> int:
    """Runs `command` as `processes` processes on this machine and returns the exit code.

    SIGINT and SIGTERM are passed on as SIGTERM. When one process fails, the others get half a
    minute to end as well, and its exit code is returned: 128 + n if signal n ended it.
    """
    children: list[subprocess.Popen[bytes]] = []
    with Interrupts() as interrupts, TemporaryDirectory(prefix="vertebra-") as said:
        environment = {
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
            "WORLD_SIZE": str(processes),
            FOLDER: said,
        }
        # each process gets its share of the cores; without this all of them use all
        environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // processes)))
        try:
            for rank in map(str, range(processes)):
                place = {**environment, "RANK": rank, "LOCAL_RANK": rank}
                children.append(subprocess.Popen(command, env=place))
            return _wait_for(children, interrupts)
        finally:
            for child in children:  # even after a second SIGINT none is left behind
                child.kill()
                child.wait()


def _wait_for(children: Sequence["subprocess.Popen[bytes]"], interrupts: Interrupts) -> int:
    """Returns 0 when all have ended well, else the first other exit code."""
    is_told = False
    while not any(codes := [child.poll() or 0 for child in children]):
        if all(child.returncode == 0 for child in children):
            return 0
        if interrupts.asked and not is_told:
            is_told = True
            for child in children:
                child.terminate()
        time.sleep(0.05)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(child.poll() is None for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    code = next(filter(None, codes))
    return 128 - code if code < 0 else code


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_command(arguments: Sequence[str]) -> list[str]:
    """Returns the command that runs this program again with other arguments."""
    return [sys.executable, "-m", "vertebra", *arguments]
