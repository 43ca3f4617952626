"""Uniform draws for many samples at once, each a pure function of its keys.

Source: Fast Splittable Pseudorandom Number Generators (2014), section 3 (SplitMix64).
Differs: the mixing function is the one that its authors later took, variant 13 in David Stafford's
"Better Bit Mixing" (2011); where a stream begins is a hash of the keys, so that any draw can be
had without those before it.
"""

import numpy as np
from numpy.typing import NDArray

Draws = NDArray[np.float64]
"""Even draws [N, k] in [0, 1), a row for each sample."""

# odd, so that its multiples visit every state: 2^64 over the golden ratio
_STEP = np.uint64(0x9E3779B97F4A7C15)


def uniforms(
    seed: int, first: NDArray[np.int64], second: NDArray[np.int64], *, count: int
) -> Draws:
    """Returns draws [N, count] in [0, 1); row n depends on the seed, `first[n]` and `second[n]`.

    All three are at least 0; a draw has 53 random bits.
    """
    # arrays throughout: they wrap at 2^64, where a scalar would warn
    start = _mixed(np.array([seed], np.uint64) + first.astype(np.uint64) * _STEP)
    start = _mixed(start + second.astype(np.uint64) * _STEP)
    states = start[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _STEP  # [N, count]
    return (_mixed(states) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(states: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns numbers of which each bit depends on each bit of the state."""
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return states ^ (states >> np.uint64(31))
