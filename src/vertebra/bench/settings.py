"""How models are measured: everything, beside the machine, that changes a figure."""

from dataclasses import dataclass
from typing import Literal

import torch

from vertebra.errors import RecipeError

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What holds for all the models of one measurement.

    batch_size: images in a call; None takes one image for latency and memory, and for throughput
                the batch that gives most.
    precision:  bf16 casts weights and images before inference; a training step is autocast and
                its weights stay fp32.
    device:     as torch names it, "cpu" or "cuda:0".
    threads:    of the CPU; None takes as many as torch does by itself.
    fused:      inference in the form that `contracts.fused` gives.
    optimized:  inference in the fast form that the subject gives.
    budget_s:   seconds for the timed calls of each model, warm-up and search not counted.
    """

    batch_size: int | None = None
    precision: Precision = "fp32"
    device: str = "cpu"
    threads: int | None = None
    compile: bool = False
    channels_last: bool = False
    fused: bool = False
    optimized: bool = False
    budget_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"{name}={value}; give at least 1, or leave it out")
        if not 0 < self.budget_s < float("inf"):
            raise RecipeError(f"budget={self.budget_s:g} s; give a number of seconds above 0")

    @property
    def torch_device(self) -> torch.device:
        """The device."""
        return torch.device(self.device)

    @property
    def dtype(self) -> torch.dtype:
        """What inference computes in."""
        return torch.float32 if self.precision == "fp32" else torch.bfloat16

    @property
    def layout(self) -> torch.memory_format:
        """How images and convolutions lie in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def call_size(self) -> int:
        """Images in a call of latency and of inference memory."""
        return self.batch_size or 1

    @property
    def step_size(self) -> int:
        """Images in a training step: at least 2, because a batch norm over 1x1 maps needs two."""
        return max(2, self.call_size)
