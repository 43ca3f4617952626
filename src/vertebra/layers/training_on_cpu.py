"""A network as a CPU trains it: convolutions the faster way, and little kept between the passes."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

from vertebra.layers.convolutions_on_cpu import ConvolutionsOnCpu
from vertebra.layers.remade_inputs import RemadeInputs


class TrainingOnCpu:
    """What surrounds both passes of a step.

    network: may be called, trained and copied as ever; nothing of this stays in it.
    dtype:   in which it computes: fp32, or bf16 by autocast.
    remakes: the backward pass makes inputs again; not where it computes whole blocks again.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype, *, remakes: bool = True) -> None:
        self._convolutions = ConvolutionsOnCpu(network, dtype)
        self._inputs = RemadeInputs(network if remakes else nn.Identity())

    @contextmanager
    def taken(self) -> Generator[None]:
        """Has the network trained that way within."""
        with self._convolutions.taken(), self._inputs.taken():
            yield
