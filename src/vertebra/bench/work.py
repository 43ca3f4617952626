"""What is measured, as calls without arguments: an inference, a training step."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vertebra import uncompiled
from vertebra.bench.settings import BenchSettings
from vertebra.contracts import fused
from vertebra.layers.layout import lay_out_by_pixel
from vertebra.layers.training_on_cpu import TrainingOnCpu

Work: TypeAlias = Callable[[], object]
"""A call that is repeated and timed."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model to measure.

    build:    returns it in fp32 on the CPU, images [N, in_channels, S, S] -> logits.
    optimize: returns its fast form for such images, given the settings; None where it has none.
    """

    name: str
    image_size: int
    build: Callable[[], nn.Module]
    in_channels: int = 3
    optimize: "Callable[[nn.Module, Tensor, BenchSettings], nn.Module] | None" = None


def draw_images(subject: Subject, batch_size: int, settings: BenchSettings) -> Tensor:
    """Returns random images [N, C, S, S] in fp32 on the device, in the layout of the settings."""
    size = (batch_size, subject.in_channels, subject.image_size, subject.image_size)
    images = torch.rand(size, device=settings.torch_device)
    return images.contiguous(memory_format=settings.layout)


def inference_form(subject: Subject, settings: BenchSettings, *, batch_size: int = 1) -> nn.Module:
    """Returns the model on the device as it would be put to use, for so many images at a time.

    It is not compiled, but for the fast form.
    """
    model = subject.build().eval()
    if settings.optimized and subject.optimize is not None:
        model.to(settings.torch_device)
        return subject.optimize(model, draw_images(subject, batch_size, settings), settings)
    if settings.fused:
        model = fused(model)  # in fp32, so that the folded weights are rounded once
    return _placed(model.requires_grad_(False), settings).to(settings.dtype)


def compiled(model: nn.Module) -> Callable[[Tensor], Any]:
    """Returns the model compiled as one graph, anew for each batch size."""
    return torch.compile(model, fullgraph=True, dynamic=False)


def inference(model: Callable[[Tensor], Any], images: Tensor, settings: BenchSettings) -> Work:
    """Returns a call that computes the logits of a batch."""
    images = images.to(settings.dtype)

    @torch.inference_mode()
    def work() -> None:
        model(images)

    return work


def training_step(subject: Subject, images: Tensor, settings: BenchSettings) -> Work:
    """Returns a call that makes one update by SGD with momentum, on cross-entropy.

    The learning rate is 0: any number of calls finds the same weights and the same work.
    """
    model = _placed(subject.build().train(), settings)
    call = compiled(model) if settings.compile else model
    optimizer = uncompiled.SGD(model.parameters(), lr=0.0, momentum=0.9)
    targets = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    precise = settings.precision == "fp32"
    stepping = nullcontext
    if images.device.type == "cpu" and not settings.compile:  # as `vertebra train` does
        stepping = TrainingOnCpu(model, torch.float32 if precise else torch.bfloat16).taken

    def work() -> None:
        context = nullcontext() if precise else torch.autocast(images.device.type, torch.bfloat16)
        with stepping():
            with context:
                loss = _loss(call(images), targets)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return work


def synchronizer(device: torch.device) -> Work:
    """Returns a call that waits until the device has done all that it was given."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if device.type == "mps":
        return torch.mps.synchronize
    return lambda: None


def _placed(model: nn.Module, settings: BenchSettings) -> nn.Module:
    model.to(settings.torch_device)
    if settings.channels_last:
        lay_out_by_pixel(model)
    return model


def _loss(outputs: Any, targets: Tensor) -> Tensor:
    """Returns the cross-entropy of the logits; of several heads, the sum."""
    heads: Sequence[Tensor] = [outputs] if isinstance(outputs, Tensor) else outputs
    losses = [cross_entropy(logits.float(), targets) for logits in heads]
    return torch.stack(losses).sum()
