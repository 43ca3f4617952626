"""Wrong labels: as many as said, of the classes said, and always the same ones."""

from pathlib import Path

import numpy as np
import pytest

from vertebra.data.images import Split
from vertebra.data.label_noise import LabelNoise
from vertebra.data.names import Names
from vertebra.data.readers import Files
from vertebra.errors import DataError, RecipeError

N, K = 6000, 4
PATTERNS = ("symmetric", "pair")


def drawn(classes: int = K) -> Split:
    labels = np.arange(N) % classes
    names = Names.of(f"image-{place}" for place in range(N))
    return Split(tuple(map(str, range(classes))), labels, names, labels * 0, Files(Path()))


def within_three_sigma(share: float, expected: float, n: int) -> bool:
    return abs(share - expected) <= 3 * np.sqrt(expected * (1 - expected) / n) + 1e-12


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4, 0.75, 1.0])
def test_every_change_of_class_is_as_frequent_as_its_chance(pattern, rate):
    noise, clean = LabelNoise(rate=rate, pattern=pattern), drawn()
    noisy = noise.sample(clean, seed=0)
    chances = noise.transition(K)
    assert np.allclose(chances.sum(1), 1) and np.allclose(chances.diagonal(), 1 - rate)
    assert within_three_sigma(float((noisy.labels != clean.labels).mean()), rate, N)
    for true in range(K):
        of_it = noisy.labels[clean.labels == true]
        for found in range(K):
            share = float((of_it == found).mean())
            assert within_three_sigma(share, chances[true, found], len(of_it))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_noise_changes_nothing_and_nothing_but_labels_ever_changes(pattern):
    clean = drawn()
    assert (
        LabelNoise(rate=0.0, pattern=pattern).sample(clean, seed=0).labels == clean.labels
    ).all()
    noisy = LabelNoise(rate=0.5, pattern=pattern).sample(clean, seed=0)
    assert (noisy.classes, list(noisy.names)) == (clean.classes, list(clean.names))
    assert noisy.rows is clean.rows
    assert (clean.labels == drawn().labels).all()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_labels_that_are_wrong_at_a_low_rate_are_wrong_alike_at_a_higher_one(pattern):
    clean = drawn()
    few, many = (
        LabelNoise(rate=rate, pattern=pattern).sample(clean, seed=0) for rate in (0.2, 0.6)
    )
    changed = few.labels != clean.labels
    assert (few.labels[changed] == many.labels[changed]).all()


def test_who_is_wrong_depends_on_names_and_seed_and_not_on_the_order_of_files():
    clean, noise = drawn(), LabelNoise(rate=0.3)
    order = np.arange(N)[::-1]
    found = noise.sample(clean, seed=0).labels
    assert (noise.sample(clean.subset(order), seed=0).labels == found[order]).all()
    assert (noise.sample(clean, seed=1).labels != found).any()


def test_symmetric_noise_of_all_but_a_class_leaves_labels_that_say_nothing():
    clean = drawn()
    noise = LabelNoise(rate=(K - 1) / K)
    assert np.allclose(noise.transition(K), 1 / K)
    assert within_three_sigma(
        float((noise.sample(clean, seed=0).labels == clean.labels).mean()), 1 / K, N
    )


def test_the_pair_of_the_last_class_is_the_first():
    noisy = LabelNoise(rate=1.0, pattern="pair").sample(drawn(), seed=0)
    assert (noisy.labels == (drawn().labels + 1) % K).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(RecipeError, match=r"label noise rate=1\.2; give a share"):
        LabelNoise(rate=1.2)
    with pytest.raises(DataError, match="label noise needs two classes or more, and there are 0"):
        LabelNoise().sample(drawn().unlabelled(), seed=0)
