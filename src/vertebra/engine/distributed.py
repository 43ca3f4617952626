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

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vertebra.errors import DeviceError


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

    def total(self, value: Tensor) -> Tensor:
        """Returns the sum over all processes; alone, the value itself."""
        if self.size == 1:
            return value
        summed = value.clone()
        if dist.get_backend() == "nccl":
            summed = summed.to(torch.device("cuda", self.local_rank))
        dist.all_reduce(summed)
        return summed.to(value.device)

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is set in any process; all must ask."""
        return flag if self.size == 1 else bool(self.total(torch.tensor(int(flag))).item())

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
        DeviceError: the processes cannot reach each other.
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
    finally:
        dist.destroy_process_group()


def launch(command: Sequence[str], processes: int) -> int:
    """Runs `command` as `processes` processes on this machine and returns the exit code.

    SIGINT and SIGTERM reach the children through the terminal or are passed on; when one fails, the
    others are stopped. The exit code is the first one that is not zero.
    """
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(processes),
    }
    # each process gets its share of the cores; without this all of them use all
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    children = [
        subprocess.Popen(command, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(processes)
    ]
    return _wait_for(children)


def _wait_for(children: list["subprocess.Popen[bytes]"]) -> int:
    """Returns the first exit code that is not zero, after every child has ended."""
    from vertebra.engine.interrupt import Interrupts

    failed = 0
    with Interrupts() as interrupts:
        told = False
        while any(child.poll() is None for child in children):
            if interrupts.asked and not told:
                told = True
                for child in children:
                    child.terminate()
            codes = [child.returncode for child in children if child.returncode]
            if codes and not failed:
                failed = codes[0]
                _stop_after(children, seconds=30.0 if failed > 0 else 0.0)
            time.sleep(0.05)
    return failed or next((child.returncode for child in children if child.returncode), 0)


def _stop_after(children: list["subprocess.Popen[bytes]"], *, seconds: float) -> None:
    """Gives the other children time to end by themselves, as after a save, then ends them."""
    deadline = time.monotonic() + seconds
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_command(arguments: Sequence[str]) -> list[str]:
    """Returns the command that runs this program again with other arguments."""
    return [sys.executable, "-m", "vertebra", *arguments]
