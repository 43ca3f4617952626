import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.waits import META, Waits
from torch.nn import functional as F
from torchvision.transforms import v2

from vertebra.contracts import Batch
from vertebra.data.mixing import Mixing
from vertebra.seeding import seeded

K = 5


def constant(count: int, size: int = 16) -> Batch:
    """Returns a batch in which image n, of class n % K, is filled with the value n."""
    values = torch.arange(count, dtype=torch.float32)
    images = values.view(-1, 1, 1, 1).expand(count, 3, size, size)
    return Batch(images.clone(), torch.arange(count) % K, torch.arange(count))


@pytest.mark.parametrize("spec", [Mixing(mixup=0.2), Mixing(cutmix=1.0), Mixing(mixup=1, cutmix=1)])
@given(seed=st.integers(0, 1000))
def test_what_an_image_is_made_of_is_what_its_target_says(spec: Mixing, seed: int):
    batch = constant(7)
    with seeded(seed):
        mixed = spec.sample(batch, K)
    own = F.one_hot(batch.targets, K).float()
    # mean pixel = w * own + (1 - w) * partner; the partner is the image before, around the end
    values = batch.images.mean((1, 2, 3))
    partner = values.roll(1)
    weight = (mixed.images.mean((1, 2, 3)) - partner) / (values - partner)
    expected = weight[:, None] * own + (1 - weight[:, None]) * own.roll(1, 0)
    torch.testing.assert_close(mixed.targets, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(mixed.targets.sum(1), torch.ones(7))
    assert (weight > -1e-6).all() and (weight < 1 + 1e-6).all()
    assert torch.equal(mixed.index, batch.index)


MIXUP, CUTMIX = v2.MixUp(alpha=0.4, num_classes=K), v2.CutMix(alpha=0.7, num_classes=K)


@pytest.mark.parametrize(
    ("spec", "peer"),
    [
        (Mixing(mixup=0.4), MIXUP),
        (Mixing(cutmix=0.7), CUTMIX),
        (Mixing(mixup=0.4, cutmix=0.7, switch=0.3), v2.RandomChoice([MIXUP, CUTMIX], p=[0.7, 0.3])),
    ],
)
def test_draws_pixels_and_targets_are_torchvisions(spec: Mixing, peer: v2.Transform):
    batch = Batch(torch.rand(6, 3, 12, 17), torch.arange(6) % K, torch.arange(6))
    for seed in range(50):
        with seeded(seed):
            found = spec.sample(batch, K)
        with seeded(seed):
            torch.rand(())  # whether it is mixed at all
            images, targets = peer(batch.images, batch.targets)
        assert torch.equal(found.images, images) and torch.equal(found.targets, targets)


@pytest.mark.parametrize("spec", [Mixing(mixup=0.2), Mixing(cutmix=1.0), Mixing(probability=0)])
def test_mixing_waits_for_no_device(spec: Mixing):
    batch = constant(4).to(META)
    with seeded(0), Waits() as waits:
        assert spec.sample(batch, K).targets.shape == (4, K)
    assert waits.found == []


def test_cutmix_pastes_one_box_and_mixup_blends_every_pixel():
    batch = constant(4)
    with seeded(3):
        cut = Mixing(cutmix=1.0).sample(batch, K)
    assert all(len(image.unique()) <= 2 for image in cut.images)
    with seeded(3):
        blended = Mixing(mixup=1.0).sample(batch, K)
    assert all(len(image.unique()) == 1 for image in blended.images)


def test_the_pasted_share_is_the_clipped_one():
    """By simulation of the paper's algorithm E[share] is near 0.317 at 224 px, not 0.5."""
    shares = []
    batch = Batch(torch.zeros(2, 1, 224, 224), torch.arange(2), torch.arange(2))
    for seed in range(400):
        with seeded(seed):
            mixed = Mixing(cutmix=1.0).sample(batch, K)
        shares.append(1 - mixed.targets[0, 0].item())
    assert abs(sum(shares) / len(shares) - 0.317) < 0.035


@pytest.mark.parametrize("spec", [Mixing(), Mixing(mixup=1.0, probability=0.0)])
def test_no_mixing_gives_the_same_images_and_whole_targets(spec: Mixing):
    batch = constant(4)
    mixed = spec.sample(batch, K)
    assert torch.equal(mixed.images, batch.images)
    assert torch.equal(mixed.targets, F.one_hot(batch.targets, K).float())


def test_probability_and_switch_count():
    batch = constant(2)
    kinds = {"none": 0, "mixup": 0, "cutmix": 0}
    for seed in range(300):
        with seeded(seed):
            mixed = Mixing(mixup=1.0, cutmix=1.0, probability=0.6, switch=0.25).sample(batch, K)
        image = mixed.images[1]
        if torch.equal(image, batch.images[1]):
            kinds["none"] += 1
        else:
            kinds["mixup" if len(image.unique()) == 1 and image[0, 0, 0] % 1 else "cutmix"] += 1
    assert 90 < kinds["none"] < 170  # 0.4, and boxes that are empty
    assert 100 < kinds["mixup"] < 170  # 0.45
    assert 20 < kinds["cutmix"] < 70  # 0.15


def test_a_soft_target_loss_is_the_mixed_loss_of_hard_targets():
    batch = constant(6)
    with seeded(1):
        mixed = Mixing(mixup=1.0).sample(batch, K)
    logits = torch.randn(6, K)
    weight = (mixed.targets * F.one_hot(batch.targets, K)).sum(1)
    hard = [
        F.cross_entropy(logits, t, reduction="none") for t in (batch.targets, batch.targets.roll(1))
    ]
    expected = (weight * hard[0] + (1 - weight) * hard[1]).mean()
    torch.testing.assert_close(F.cross_entropy(logits, mixed.targets), expected, atol=1e-6, rtol=0)


def test_a_batch_of_one_is_mixed_with_itself():
    mixed = Mixing(mixup=1.0).sample(constant(1), K)
    assert torch.allclose(mixed.images, constant(1).images)
    assert torch.allclose(mixed.targets.sum(1), torch.ones(1))
