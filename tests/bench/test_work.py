from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from tests.bench.drawn import QUICK, small_net, subject
from torch import Tensor, nn

from vertebra.bench.settings import BenchSettings
from vertebra.bench.work import (
    Subject,
    compiled,
    draw_images,
    inference,
    inference_form,
    training_step,
)
from vertebra.tasks.classify import create_model


class Heads(NamedTuple):
    one: Tensor
    two: Tensor


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = small_net()

    def forward(self, images):
        logits = self.net(images)
        return Heads(logits, 2 * logits) if self.training else logits


def seen(settings: BenchSettings) -> tuple[nn.Module, Tensor]:
    """Returns the inference form of a small network, and the images that it got."""
    images: list[Tensor] = []
    model = inference_form(subject(), settings)
    inference(lambda batch: images.append(batch), draw_images(subject(), 3, settings), settings)()
    return model, images[0]


def test_inference_is_in_evaluation_mode_and_needs_no_gradients():
    model, images = seen(QUICK)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert images.shape == (3, 3, 8, 8)


def test_settings_decide_dtype_and_layout():
    settings = replace(QUICK, precision="bf16", channels_last=True)
    model, images = seen(settings)
    assert images.dtype == model[0].weight.dtype == torch.bfloat16
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_fused_form_has_no_norm_and_gives_the_same():
    torch.manual_seed(0)
    net = create_model("resnet18", num_classes=5).eval()
    ours = Subject(name="resnet18", image_size=32, build=lambda: net)
    folded = inference_form(ours, replace(QUICK, fused=True))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    images = draw_images(ours, 2, QUICK)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), net(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_step_can_be_repeated_and_leaves_the_weights(precision):
    net = small_net()
    one = Subject(name="one", image_size=8, build=lambda: net)
    settings = replace(QUICK, precision=precision)
    before = [parameter.clone() for parameter in net.parameters()]
    work = training_step(one, draw_images(one, 2, settings), settings)
    for _ in range(3):
        work()
    assert net.training
    assert net[1].num_batches_tracked == 3
    assert all(map(torch.equal, before, net.parameters()))
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_network_of_two_heads_learns_with_both():
    two = Subject(name="two", image_size=8, build=TwoHeads)
    training_step(two, draw_images(two, 2, QUICK), QUICK)()


@pytest.mark.slow
def test_the_compiled_form_gives_the_same():
    model = inference_form(subject(), QUICK)
    images = draw_images(subject(), 2, QUICK)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(model)(images), model(images))


def test_the_fast_form_is_made_for_the_images_that_are_timed():
    asked = []

    def fast(model, images, settings):
        asked.append((tuple(images.shape), settings.precision))
        return nn.Identity()

    ours = replace(subject(), optimize=fast)
    settings = replace(QUICK, optimized=True)
    assert isinstance(inference_form(ours, settings, batch_size=6), nn.Identity)
    assert asked == [((6, 3, 8, 8), "fp32")]
    assert not isinstance(inference_form(ours, QUICK), nn.Identity)
    assert not isinstance(inference_form(subject(), settings), nn.Identity)
