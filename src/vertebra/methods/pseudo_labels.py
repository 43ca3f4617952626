"""Pseudo-labels: which of a teacher's answers are learnt from, how often, and as what.

Source: Self-training with Noisy Student improves ImageNet classification (2020), section 2 (filter
and balance), with the bins of confidence of the released code.
Differs: a class of which nothing is confident enough is left out, where the code divides by zero.

Here [M, K] are the probabilities of K classes that a teacher gives to each of M images. An image
counts for its most probable class, and the probability of that is its confidence.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BINS = 101
"""Confidences are counted in bins of 0.01; the last one holds 1 alone."""


class Tally(NamedTuple):
    """Counts for each class, [K] int64: images found, kept at least once, learnt from with repeats;
    confidence: [K], mean over the kept, 0 where there are none."""

    found: Tensor
    kept: Tensor
    learnt: Tensor
    confidence: Tensor


def confident(probabilities: Tensor, threshold: float) -> Tensor:
    """Returns the rows whose confidence is at least `threshold`, each once."""
    return (probabilities.amax(1) >= threshold).nonzero().flatten()


def balanced(
    probabilities: Tensor, *, threshold: float, per_class: int, generator: torch.Generator
) -> Tensor:
    """Returns rows, ascending and repeated, about `per_class` of each class that has any.

    Of a class with more images those above its own threshold are drawn from, see `thresholds`; in a
    class with fewer each image stands per_class / n times, rounded up or down by chance.
    """
    confidence, classes = probabilities.max(1)
    least = thresholds(probabilities, threshold=threshold, per_class=per_class)
    is_kept = confidence.double() >= least[classes]
    counts = torch.bincount(classes[is_kept], minlength=probabilities.shape[1])
    copies = per_class / counts[classes].clamp(min=1).double()
    draws = torch.rand(len(copies), generator=generator, dtype=torch.float64)
    whole = copies.floor() + (draws < copies.frac())
    return torch.arange(len(copies)).repeat_interleave((whole * is_kept).long())


def thresholds(probabilities: Tensor, *, threshold: float, per_class: int) -> Tensor:
    """Returns the least confidence of each class that is kept, [K] in float64.

    It is the highest multiple of 0.01 that `per_class` images reach, and `threshold` in a class
    where fewer do.
    """
    confidence, classes = probabilities.max(1)
    is_sure = confidence >= threshold
    # a sum of probabilities can exceed 1 by rounding
    bins = (confidence.double() * 100).floor().long().clamp(max=BINS - 1)
    cells = (classes * BINS + bins)[is_sure]
    counts = torch.bincount(cells, minlength=probabilities.shape[1] * BINS).view(-1, BINS)
    reaching = counts.flip(1).cumsum(1).flip(1)  # [K, BINS], images in this bin or a higher one
    highest = ((reaching >= per_class) * torch.arange(BINS)).amax(1)
    return (highest.double() / 100).clamp(min=threshold)


def most_confident(probabilities: Tensor, *, threshold: float, per_class: int) -> Tensor:
    """Returns the rows, ascending, of the `per_class` most confident images of each class, or of
    all that reach `threshold` where they are fewer."""
    confidence, classes = probabilities.max(1)
    order = confidence.argsort(descending=True, stable=True)
    order = order[classes[order].argsort(stable=True)]  # by class, then by confidence
    sizes = torch.bincount(classes, minlength=probabilities.shape[1])
    starts = sizes.cumsum(0) - sizes
    ranks = torch.arange(len(order)) - starts[classes[order]]
    chosen = order[(ranks < per_class) & (confidence[order] >= threshold)]
    return chosen.sort().values


def as_targets(probabilities: Tensor, *, hard: bool, temperature: float = 1.0) -> Tensor:
    """Returns class numbers [M], or soft targets [M, K] proportional to p^(1 / temperature).

    With p = softmax(logits) the latter are softmax(logits / temperature).
    """
    if hard:
        return probabilities.argmax(1)
    tiny = torch.finfo(probabilities.dtype).tiny  # 0 has no logarithm
    return (probabilities.clamp(min=tiny).log() / temperature).softmax(1)


def tally(probabilities: Tensor, rows: Tensor) -> Tally:
    """Returns the counts for each class, where `rows` are learnt from."""
    confidence, classes = probabilities.max(1)
    n = probabilities.shape[1]
    unique = rows.unique()
    kept = torch.bincount(classes[unique], minlength=n)
    sums = torch.bincount(classes[unique], weights=confidence[unique].double(), minlength=n)
    return Tally(
        found=torch.bincount(classes, minlength=n),
        kept=kept,
        learnt=torch.bincount(classes[rows], minlength=n),
        confidence=sums / kept.clamp(min=1),
    )
