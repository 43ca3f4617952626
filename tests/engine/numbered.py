"""Small checkpoints that are told apart by a number."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.testing import assert_close

from vertebra.engine import checkpoint

assert_exactly = partial(assert_close, rtol=0, atol=0)


def content(number: int) -> dict[str, dict[str, Tensor]]:
    return {
        "model": {"weight": torch.full((3, 2), float(number)), "count": torch.tensor(number)},
        "optimizer": {"0.momentum_buffer": torch.full((3, 2), -float(number))},
    }


def save_number(directory: Path, number: int) -> None:
    checkpoint.save(directory, tensors=content(number), state={"step": number})


def number_in(directory: Path) -> int:
    """Which checkpoint is there, after a look at all of it."""
    tensors, state = checkpoint.load(directory)
    assert_exactly(tensors, content(state["step"]))
    return state["step"]
