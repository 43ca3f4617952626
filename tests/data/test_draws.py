import numpy as np
from scipy import stats

from vertebra.data.draws import uniforms


def grid(seed: int, *, epochs: int = 40, samples: int = 50, count: int = 10) -> np.ndarray:
    first, second = np.divmod(np.arange(epochs * samples), samples)
    return uniforms(seed, first, second, count=count)


def test_a_draw_depends_on_its_keys_and_on_nothing_else():
    both = uniforms(7, np.array([3, 4]), np.array([5, 5]), count=6)
    assert np.array_equal(uniforms(7, np.array([4]), np.array([5]), count=6), both[1:])
    assert np.array_equal(uniforms(7, np.array([4]), np.array([5]), count=3), both[1:, :3])
    others = [(8, 3, 5), (7, 4, 5), (7, 3, 4), (7, 5, 3)]
    for seed, epoch, sample in others:
        found = uniforms(seed, np.array([epoch]), np.array([sample]), count=6)
        assert not np.isclose(found, both[:1]).any()


def test_draws_are_even_and_independent():
    draws = grid(2**63 - 1)
    assert draws.min() >= 0 and draws.max() < 1
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-3
    for axis in (0, 1):
        rows = draws if axis else draws.T
        related = np.corrcoef(rows[:10])[~np.eye(10, dtype=bool)]
        assert abs(related.mean()) < 0.1
    # neighbours in every key: the next draw, the next sample, the next epoch, the next seed
    pairs = [
        (draws[:, :-1], draws[:, 1:]),
        (draws[:-1], draws[1:]),
        (draws[:-50], draws[50:]),
        (draws, grid(2**63 - 2)),
    ]
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(one.size)


def test_the_mixing_is_that_of_the_published_generator():
    """By the first numbers of SplitMix64 from state 0, which the keys here are hashed to."""
    from vertebra.data.draws import _STEP, _mixed

    states = np.arange(1, 4, dtype=np.uint64) * _STEP
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert _mixed(states).tolist() == published
