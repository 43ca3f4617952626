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
    their draws depend on the keys alone. `device` adds the generator of a CUDA or MPS device.
    """
    seed = seed_of(*keys)
    # not torch.manual_seed: it takes ten times as long, and reaches devices that are not put back
    generators = _defaults(device)
    earlier = random.getstate(), [each.get_state() for each in generators]
    random.seed(seed)
    for each in generators:
        each.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(earlier[0])
        for each, state in zip(generators, earlier[1], strict=True):
            each.set_state(state)


def _defaults(device: torch.device | None) -> list[torch.Generator]:
    """Returns the generators that operations on the CPU, and on `device`, draw from."""
    if device is not None and device.type == "cuda":
        torch.cuda.init()
        return [torch.default_generator, torch.cuda.default_generators[device.index or 0]]
    if device is not None and device.type == "mps":
        # torch has no public name for it
        mps = torch.mps._get_default_mps_generator()  # pyright: ignore[reportPrivateUsage]
        return [torch.default_generator, mps]
    return [torch.default_generator]
