"""Randomness as a pure function of keys: the same keys give the same draws in any process, at any
time."""

import hashlib
import random
from collections.abc import Generator
from contextlib import contextmanager

import torch

Key = int | str


def seed_of(*keys: Key) -> int:
    """Returns a 63-bit seed that depends on nothing but the keys, on every machine."""
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*keys: Key) -> torch.Generator:
    """Returns a CPU generator seeded by the keys."""
    return torch.Generator().manual_seed(seed_of(*keys))


@contextmanager
def seeded(*keys: Key, device: torch.device | None = None) -> Generator[None]:
    """Seeds torch's and Python's generators inside the block and puts the earlier states back after
    it.

    Library transforms, dropout and stochastic depth draw from these generators; inside the block
    their draws depend on the keys alone. `device` adds the generator of a CUDA device.
    """
    earlier = random.getstate()
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices, enabled=True):
        seed = seed_of(*keys)
        torch.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(earlier)
