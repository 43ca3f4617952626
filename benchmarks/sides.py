"""Two ways to do the same work, timed in turn, each in a process of its own.

Own processes, as ours keeps freed memory in the heap of its process. They work in turn (A B C A B
C ...), and a ratio is of the medians of one round. The third is a matrix product of as many
multiply-adds in fp32: what the work would take if it were all arithmetic at full rate.
"""

import multiprocessing as mp
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import geometric_mean, median
from typing import NamedTuple, TypeAlias
from unittest.mock import patch

from records import note
from vertebra.bench.latency import Spread
from vertebra.engine.heap import give_buffers_back

Build: TypeAlias = Callable[[], Callable[[], object]]
"""Is called in the process, and returns the work."""

SIDE = 1024
"""Of the matrices that are multiplied."""


class Trial(NamedTuple):
    """What is compared, and how often.

    work, against: as in `records.Row`; file: where records go.
    """

    work: str
    against: str
    rounds: int
    calls: int
    file: Path | None


def compare(name: str, builds: Mapping[str, Build], trial: Trial) -> float:
    """Times the sides "peer", "ours" and "product", prints what came out, and returns peer / ours.

    Above 1, ours is faster. Peak memory is the largest resident set of each process.
    """
    pipes = {side: _start(build, is_command=side == "ours") for side, build in builds.items()}
    for pipe in pipes.values():
        pipe.recv()
    seconds: dict[str, list[float]] = {side: [] for side in pipes}
    for _ in range(trial.rounds):
        for side, pipe in pipes.items():
            pipe.send(trial.calls)
            seconds[side].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(0)
    peaks = {side: pipe.recv() for side, pipe in pipes.items()}
    ratio = _ratio(seconds["peer"], seconds["ours"])
    share = _ratio(seconds["product"], seconds["ours"])
    memory = peaks["ours"] / peaks["peer"]
    print(
        f"{name:<22} {ratio.p50:.2f} times ({ratio.p25:.2f} to {ratio.p75:.2f}); "
        f"{1000 * median(seconds['peer']):.0f} and {1000 * median(seconds['ours']):.0f} ms; "
        f"{share.p50:.0%} of the rate of a matrix product ({share.p25:.0%} to {share.p75:.0%}); "
        f"peak {peaks['peer']:.0f} and {peaks['ours']:.0f} MB, {memory:.2f} times",
        flush=True,
    )
    note(
        trial.file,
        ratio,
        work=trial.work,
        against=trial.against,
        name=name,
        rounds=trial.rounds,
        rate=share.p50,
        memory=memory,
    )
    return ratio.p50


def print_means(ratios: Sequence[float]) -> None:
    """Prints the geometric mean and the least."""
    print(f"geometric mean {geometric_mean(ratios):.2f}, least {min(ratios):.2f}")


def product(macs: int) -> Callable[[], object]:
    """Returns the work of so many multiply-adds, in products of square matrices."""
    import torch

    rows, rest = divmod(macs // SIDE**2, SIDE)
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    heights = [SIDE] * rows + [rest] * bool(rest)

    @torch.inference_mode()
    def call() -> object:
        return [left[:height] @ right for height in heights]

    return call


def _ratio(ours: Sequence[float], others: Sequence[float]) -> Spread:
    return Spread.of([one / other for one, other in zip(ours, others, strict=True)])


def _start(build: Build, *, is_command: bool) -> Connection:
    """Starts a process, with the environment that our commands give themselves if it is one."""
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    with patch.dict(os.environ):
        if is_command:
            give_buffers_back()
        context.Process(target=_serve, args=(build, there), daemon=True).start()
    return here


def _serve(build: Build, pipe: Connection) -> None:
    """Answers each number of calls with their median seconds, and 0 with the peak in MB."""
    call = build()
    call()
    pipe.send(None)
    while calls := pipe.recv():
        call()
        pipe.send(median(_timed(call) for _ in range(calls)))
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
