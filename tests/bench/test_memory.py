"""Peak memory against sums by hand: every tensor here is of fp32, four bytes a number."""

import gc

import pytest
import torch
from tests.bench.drawn import QUICK, subject
from torch import nn

from vertebra.bench.memory import LiveBytes, peak_memory_mb, usable_mb
from vertebra.bench.work import Subject, draw_images, inference, inference_form, training_step

CPU = torch.device("cpu")
IMAGES, SIDE, CLASSES = 2, 16, 5
PIXELS = 3 * SIDE * SIDE


def linear_subject(*, hidden: int = 7) -> Subject:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(PIXELS, hidden, bias=False),
            nn.Linear(hidden, CLASSES, bias=False),
        )

    return Subject(name="linear", image_size=SIDE, build=build)


def bytes_of(prepare) -> float:
    return peak_memory_mb(prepare, CPU) * 2**20


def test_inference_holds_weights_images_and_the_two_features_of_one_layer():
    def prepare():
        images = draw_images(linear_subject(), IMAGES, QUICK)
        return inference(inference_form(linear_subject(), QUICK), images, QUICK)

    weights, images = PIXELS * 7 + 7 * CLASSES, IMAGES * PIXELS
    features = IMAGES * 7 + IMAGES * CLASSES
    assert bytes_of(prepare) == 4 * (weights + images + features)


def test_a_training_step_holds_weights_gradients_momentum_and_images():
    def prepare():
        images = draw_images(linear_subject(), IMAGES, QUICK)
        return training_step(linear_subject(), images, QUICK)

    weights = PIXELS * 7 + 7 * CLASSES
    held = 4 * (3 * weights + IMAGES * PIXELS)
    # beside them features, their gradients and the loss: tens of numbers against thousands
    assert held <= bytes_of(prepare) <= held + 4 * 150


def test_what_a_network_is_recorded_with_takes_no_memory():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()).eval()
    images = torch.zeros(2, 3, 8, 8)
    with LiveBytes() as bytes_alive:
        torch.export.export(net, (images,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    assert type(bytes_alive.peak) is int
    with LiveBytes() as real, torch.no_grad():
        net(images)
    assert real.peak > bytes_alive.peak


def test_a_deeper_network_holds_its_features_only_when_it_learns():
    def prepare(layers, is_training):
        def build():
            convs = [nn.Conv2d(3, 3, 1, bias=False) for _ in range(layers)]
            return nn.Sequential(*convs, nn.AdaptiveAvgPool2d(1), nn.Flatten())

        deep = Subject(name="deep", image_size=32, build=build)
        images = draw_images(deep, 1, QUICK)
        if is_training:
            return training_step(deep, images, QUICK)
        return inference(inference_form(deep, QUICK), images, QUICK)

    features = 4 * 3 * 32 * 32
    learning = bytes_of(lambda: prepare(6, True)) - bytes_of(lambda: prepare(3, True))
    assert learning == pytest.approx(3 * features, rel=0.05)
    using = bytes_of(lambda: prepare(6, False)) - bytes_of(lambda: prepare(3, False))
    assert using == pytest.approx(0, abs=0.05 * features)


def test_what_was_there_before_does_not_count():
    before = torch.zeros(1000)
    with LiveBytes() as meter:
        made = before + 1
        view = made[:10]
        assert meter.live == meter.peak == 4000
        del made, view
        gc.collect()
        assert (meter.live, meter.peak) == (0, 4000)
        meter.restart()
        assert meter.peak == 0


def test_the_same_model_has_the_same_peak_each_time():
    def prepare():
        return training_step(subject(), draw_images(subject(), 2, QUICK), QUICK)

    assert peak_memory_mb(prepare, CPU) == peak_memory_mb(prepare, CPU)


def test_more_than_the_machine_has_stops_before_the_machine_does():
    with pytest.raises(torch.OutOfMemoryError), LiveBytes(limit_mb=1):
        kept = [torch.zeros(100_000) for _ in range(3)]
        pytest.fail(f"{len(kept)} tensors are alive")


def test_a_machine_has_memory_for_its_cpu_alone():
    assert (usable_mb(CPU) or 0) > 100
    assert usable_mb(torch.device("cuda")) is None


def test_packed_weights_count_though_their_storage_cannot_be_seen():
    with LiveBytes() as meter:
        packed = torch.ones(1000, 4, 3, 3).to_mkldnn()
        assert 144_000 <= meter.live < 2 * 144_000 + 1000
        del packed
    assert meter.live < 144_000
