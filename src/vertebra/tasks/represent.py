"""What vectors are worth where no classes are known: whether they differ, and in how many ways.

Source: Exploring Simple Siamese Representation Learning (2020), section 4.1 (spread); The Effective
Rank: A Measure of Effective Dimensionality (2007), definition 1.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from vertebra.contracts import Batch, Encoding


class RepresentationMetric:
    """Sums over the vectors of a backbone, each divided by its length.

    sums: "n" int64, "first" [D] and "second" [D, D] float64: of the vectors and of their products;
          the sums of several processes add up to those of one.
    """

    def __init__(self, width: int) -> None:
        self.sums: dict[str, Tensor] = {
            "n": torch.zeros((), dtype=torch.int64),
            "first": torch.zeros(width, dtype=torch.float64),
            "second": torch.zeros(width, width, dtype=torch.float64),
        }

    def update(self, outputs: Encoding, batch: Batch) -> None:
        """outputs.vector: [N, D]. Moves it to the CPU: one sync with the device."""
        del batch
        vectors = F.normalize(outputs.vector.detach().cpu().double())
        self.sums["n"] += len(vectors)
        self.sums["first"] += vectors.sum(0)
        self.sums["second"] += vectors.T @ vectors

    def merge(self, other: "RepresentationMetric") -> None:
        """Adds what another process counted."""
        for name, value in other.sums.items():
            self.sums[name] += value

    def result(self) -> dict[str, float]:
        """Returns "spread", 1 where the vectors point everywhere and 0 where all are the same, the
        effective "rank", between 1 and D, of how they differ, and n."""
        n = int(self.sums["n"])
        if n == 0:
            return {"spread": float("nan"), "rank": float("nan"), "n": 0}
        mean = self.sums["first"] / n
        covariance = self.sums["second"] / n - mean.outer(mean)
        variance = covariance.trace().clamp(min=0)
        # rounding leaves some of about 1e-17 below zero
        strengths = torch.linalg.eigvalsh(covariance).clamp(min=0)
        shares = strengths / strengths.sum().clamp(min=torch.finfo(torch.float64).tiny)
        entropy = -torch.xlogy(shares, shares).sum()
        return {"spread": float(variance.sqrt()), "rank": float(entropy.exp()), "n": n}
