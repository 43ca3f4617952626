"""Where and in which numbers a run computes: device, precision, memory layout, compilation,
workers."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from vertebra.cores import usable_cores
from vertebra.engine.heap import keep_in_heap, keep_out_of_heap
from vertebra.engine.threads import limit_threads
from vertebra.errors import DeviceError, RecipeError
from vertebra.layers.layout import lay_out_by_pixel
from vertebra.layers.training_on_cpu import TrainingOnCpu

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Describes how a run computes; it changes speed and rounding, never what is learnt.

    device:        "auto" takes CUDA, then Apple's MPS, then the CPU.
    precision:     bf16 is autocast: weights and updates stay fp32.
    channels_last: memory layout of images and convolutions.
    gradient_checkpointing: blocks keep their input alone in training, and compute the rest again
                   for the backward pass: less memory, more time, the same gradients.
    workers:       processes that decode images; None takes one a core, at most 8, and 0 for data in
                   memory.
    """

    device: str = "auto"
    precision: Precision = "fp32"
    channels_last: bool = True
    compile: bool = False
    gradient_checkpointing: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.compile and self.gradient_checkpointing:
            raise RecipeError(
                "compile and gradient_checkpointing exclude each other: torch cannot compile what "
                "computes again block by block; choose one"
            )
        if self.workers is not None and self.workers < 0:
            raise RecipeError(f"workers={self.workers}; give 0 or more, or null for the default")

    def resolve(self, *, local_rank: int = 0) -> torch.device:
        """Returns the device of this process.

        Raises:
            DeviceError: the device, or bf16 on it, is not there; nothing else is used in its place.
        """
        device = _resolve_device(self.device, local_rank)
        if (
            self.precision == "bf16"
            and device.type == "cuda"
            and not torch.cuda.is_bf16_supported()
        ):
            raise DeviceError(f"{device} has no bf16 arithmetic; use precision fp32")
        return device

    def settle(self, device: torch.device) -> None:
        """Suits this process to the device: threads, and where what will stay lies in memory."""
        limit_threads(device)
        if not self.gradient_checkpointing:
            keep_out_of_heap(device)

    def keep_memory(self, device: torch.device) -> None:
        """Has this process keep what it frees for its next large tensors.

        Comes when what stays has been made, with the first update or the first answer: between
        large tensors it would leave holes that fit none.
        """
        if not self.gradient_checkpointing:  # there memory counts for more than time
            keep_in_heap(device)

    def keep_memory_after(self, network: nn.Module, device: torch.device) -> None:
        """Has this process keep what it frees once the network has answered for the first time."""

        def keep(*_: Any) -> None:
            hook.remove()
            self.keep_memory(device)

        hook = network.register_forward_hook(keep)

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Returns the context in which losses and answers are computed."""
        is_half = self.precision == "bf16"
        return torch.autocast(device.type, dtype=torch.bfloat16) if is_half else nullcontext()

    def stepping(
        self, network: nn.Module, device: torch.device
    ) -> Callable[[], AbstractContextManager[None]]:
        """Returns what makes the context of a step, of both its passes, in which convolutions go
        the way that is faster on the device, and no more is kept between the passes than needed."""
        if device.type != "cpu" or self.compile:
            return nullcontext
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        remakes = not self.gradient_checkpointing
        return TrainingOnCpu(network, dtype, remakes=remakes).taken

    @property
    def layout(self) -> torch.memory_format:
        """How images lie in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Returns the module on the device in the chosen layout (the same object)."""
        module.to(device)
        if self.channels_last:
            lay_out_by_pixel(module)
        return module

    def worker_count(self, *, in_memory: bool, processes: int = 1) -> int:
        """Returns how many workers each of `processes` gets."""
        if self.workers is not None:
            return self.workers
        return 0 if in_memory else max(1, min(8, usable_cores() // processes))


def has_bf16(device: torch.device) -> bool:
    """Says whether the device computes in bf16 rather than imitating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def _resolve_device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        has_mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(
            f"device {name!r} is unknown; use auto, cpu, cuda, cuda:1 or mps"
        ) from error
    if device.type == "cuda":
        return torch.device("cuda", _cuda_index(device.index, local_rank))
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' is not there; use cpu or auto")
    if device.type not in ("cpu", "mps"):
        raise DeviceError(f"device {name!r} is not supported; use auto, cpu, cuda, cuda:1 or mps")
    return device


def _cuda_index(named: int | None, local_rank: int) -> int:
    """Returns the number of the CUDA device: the one that is named, else each process its own."""
    if named is not None and local_rank:
        raise DeviceError(f"device 'cuda:{named}' is one for several processes; use device cuda")
    index, count = local_rank if named is None else named, torch.cuda.device_count()
    if index >= count:
        raise DeviceError(
            f"device 'cuda:{index}' is not there ({count} CUDA devices found); "
            f"use cpu, auto or fewer processes"
        )
    return index
