"""Training in less memory: blocks keep their input alone, and compute the rest again for gradients.

Source: Training Deep Nets with Sublinear Memory Cost (2016), with the blocks of a backbone as
segments.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vertebra.contracts import Backbone


def checkpoint_blocks(model: nn.Module) -> int:
    """Has the blocks of each backbone in `model` compute again for the backward pass, in place.

    Gradients, statistics of norms and random draws stay what they were; names in the state too.
    Evaluation is not concerned. Returns how many blocks there are.
    """
    backbones = [part for part in model.modules() if isinstance(part, Backbone)]
    levels = [level for backbone in backbones for level in backbone.levels()]
    blocks = dict.fromkeys(block for level in levels for block in _blocks(level))
    for block in blocks:
        block.forward = _Again(block)
    return len(blocks)


class _Again:
    """The forward pass of a block that keeps nothing but its inputs."""

    def __init__(self, block: nn.Module) -> None:
        self.block = block

    def __call__(self, *inputs: Any) -> Any:
        forward = type(self.block).forward
        if not (self.block.training and torch.is_grad_enabled()):
            return forward(self.block, *inputs)
        return checkpoint(
            forward, self.block, *inputs, use_reentrant=False, context_fn=self._contexts
        )

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Returns what surrounds the first pass, and the second one."""
        return nullcontext(), _buffers_kept(self.block)


@contextmanager
def _buffers_kept(block: nn.Module) -> Generator[None]:
    """Puts statistics back afterwards: the second pass sees the same images once more."""
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


def _blocks(part: nn.Module) -> list[nn.Module]:
    """Returns the parts of a list or a sequence that have parts themselves; else the part."""
    inner = [child for child in part.children() if any(True for _ in child.parameters())]
    if isinstance(part, nn.ModuleList) or (
        isinstance(part, nn.Sequential) and all(any(child.children()) for child in inner)
    ):
        return [block for child in inner for block in _blocks(child)]
    return [part] if inner else []  # a single layer would keep as much as it spares
