from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.album import noise, smooth
from torchvision.transforms import v2

from vertebra.data import randaugment as module
from vertebra.data.randaugment import RandAugment
from vertebra.data.randaugment_tf import OPERATIONS
from vertebra.seeding import seeded


def test_operations_are_drawn_evenly_with_replacement(monkeypatch: pytest.MonkeyPatch):
    seen: Counter[str] = Counter()

    def counting(name: str):
        def operation(image: Image.Image, level: float, scale: float) -> Image.Image:
            assert (level, scale) == (1.5, 0.5)
            seen[name] += 1
            return image

        return operation

    monkeypatch.setattr(module, "TF", {name: counting(name) for name in OPERATIONS})
    spec = RandAugment(count=3, magnitude=15, reference_px=40)
    with seeded(0):
        for _ in range(1600):
            spec.sample(noise(20, 20))
    assert seen.total() == 4800
    assert all(240 < count < 360 for count in seen.values()) and len(seen) == 16


def test_the_draws_of_torchvisions_pool_are_torchvisions():
    picture = smooth(40, 40)
    theirs = v2.RandAugment(num_ops=3, magnitude=9)
    for seed in range(30):
        with seeded(seed):
            ours = RandAugment(pool="torchvision", count=3, magnitude=9).sample(picture)
        with seeded(seed):
            assert np.array_equal(np.asarray(ours), np.asarray(theirs(picture)))


def test_no_operations_leave_the_picture_alone():
    picture = noise(8, 8)
    assert RandAugment(count=0).sample(picture) is picture


def test_small_pictures_survive_where_pixels_are_scaled():
    def blank(reference: int | None) -> float:
        with seeded(0):
            results = [
                np.asarray(RandAugment(count=1, magnitude=10, reference_px=reference).sample(p))
                for p in [smooth(16, 16)] * 200
            ]
        return float(np.mean([(each == 128).mean() > 0.9 for each in results]))

    assert blank(None) > 0.1  # both translations, at least
    assert blank(224) == 0


def test_draws_come_from_torch_alone():
    spec = RandAugment()
    picture = smooth(16, 16)
    results = []
    for seed in (1, 1, 2):
        with seeded(0):
            np.random.seed(seed)
            torch.manual_seed(5)
            results.append(np.asarray(spec.sample(picture)).tobytes())
    assert all(first == second for first, second in pairwise(results))
