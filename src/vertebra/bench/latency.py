"""Seconds a call: several works timed in turn, so that what the machine does hits all alike.

    round 1          round 2          ...
    A A A B B B C C  A A A B B B C C       a block is one work's calls of a round

Before each block stands one call that is not timed; each timed call is waited for.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np

from vertebra.bench.failure import FAILURES
from vertebra.bench.work import Work

Key = TypeVar("Key")

ROUNDS = 5
_MOST_CALLS = 200
_LEAST_CALLS = 2
_WARM_UP_S = 0.3

Blocks = list[list[float]]
"""Seconds of each call, for each round."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and quartiles."""

    p25: float
    p50: float
    p75: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Returns those of some values, between two of them by linear interpolation."""
        return cls(
            p25=quantile(values, 0.25), p50=quantile(values, 0.5), p75=quantile(values, 0.75)
        )


def quantile(values: Sequence[float], share: float) -> float:
    """Returns what `share` of the values lie below, by linear interpolation."""
    return float(np.quantile(np.asarray(values, dtype=np.float64), share))


def interleaved(
    works: Mapping[Key, Work],
    *,
    budget_s: float,
    synchronize: Work,
    rounds: int = ROUNDS,
    on_round: Callable[[], None] | None = None,
    on_failure: Callable[[Key, Exception], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, Blocks]:
    """Returns the seconds of every call of each work, by round.

    budget_s:   for each work, over all the rounds; a block has at least 2 calls and at most 200.
    on_failure: hears of a work that fails; it is left out from then on. None raises.
    """
    blocks: dict[Key, Blocks] = {key: [] for key in works}

    def attempt(key: Key, step: Callable[[Work], object]) -> None:
        try:
            step(works[key])
        except FAILURES as error:
            if on_failure is None:
                raise
            del blocks[key]
            on_failure(key, error)

    for key in works:
        attempt(key, lambda work: _warm_up(work, synchronize, clock))
    for _ in range(rounds):
        for key, own in [*blocks.items()]:
            attempt(
                key,
                lambda work, own=own: own.append(
                    _block(work, budget_s / rounds, synchronize, clock)
                ),
            )
        if on_round is not None:
            on_round()
    return blocks


def timed(work: Work, synchronize: Work, clock: Callable[[], float] = time.perf_counter) -> float:
    """Returns the seconds of one call, waited for."""
    synchronize()
    began = clock()
    work()
    synchronize()
    return clock() - began


def _warm_up(work: Work, synchronize: Work, clock: Callable[[], float]) -> None:
    spent = timed(work, synchronize, clock)
    while spent < _WARM_UP_S:
        spent += timed(work, synchronize, clock)


def _block(
    work: Work, budget_s: float, synchronize: Work, clock: Callable[[], float]
) -> list[float]:
    timed(work, synchronize, clock)  # what ran before has filled the caches with its own
    seconds: list[float] = []
    while len(seconds) < _LEAST_CALLS or (sum(seconds) < budget_s and len(seconds) < _MOST_CALLS):
        seconds.append(timed(work, synchronize, clock))
    return seconds
