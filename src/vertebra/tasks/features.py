"""What a backbone makes of images, kept for what is learnt from it afterwards."""

from typing import NamedTuple

import torch
from torch import Tensor

from vertebra.contracts import Batch, Encoding


class Features(NamedTuple):
    """vectors: [N, D] fp32 on the CPU; targets: [N] int64."""

    vectors: Tensor
    targets: Tensor


class FeatureCollector:
    """Keeps the vectors and targets of every batch of one process, in order."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self._seen: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: Encoding, batch: Batch) -> None:
        """outputs.vector: [N, D]. Moves it to the CPU: one sync with the device."""
        self._seen.append((outputs.vector.float().cpu(), batch.targets.cpu()))

    def result(self) -> Features:
        """Returns all of them, as tensors that can be learnt from."""
        vectors, targets = zip(*self._seen, strict=True)
        return Features(torch.cat(vectors), torch.cat(targets))


def share_right(scores: Tensor, targets: Tensor) -> float:
    """scores: [N, K]; targets: [N] -> the share of images whose best class is their own."""
    return float((scores.argmax(1) == targets).double().mean())
