"""Classification: a named backbone with its head, and what its answers are worth."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vertebra.contracts import Batch, Classifier
from vertebra.models.classifier import build_classifier
from vertebra.models.shelf import find_spec
from vertebra.seeding import seeded


def create_model(
    name: str, *, num_classes: int, in_channels: int = 3, dropout: float = 0.0, seed: int = 0
) -> Classifier:
    """Returns the named backbone with its head and fresh weights drawn from `seed`.

    Raises:
        NameLookupError: no such model; the message offers the nearest name.
    """
    with seeded(seed, "weights"):
        return build_classifier(
            find_spec(name), classes=num_classes, in_channels=in_channels, dropout=dropout
        )


@dataclass(frozen=True)
class Mistake:
    """An image whose most probable class is not its own; `index` is its place in the split."""

    index: int
    target: int
    predicted: int
    confidence: float


class ClassificationMetric:
    """Counts of a classifier's answers on images with one class each.

    sums: "confusion" [K, K] int64 (rows true, columns predicted), "top5" int64, "nll" float64 (sum
          over images); the sums of several processes add up to those of one.
    mistakes: the `keep` most confident mistakes that this process saw, most confident first.
    """

    def __init__(self, classes: int, *, keep: int = 0) -> None:
        self.sums: dict[str, Tensor] = {
            "confusion": torch.zeros(classes, classes, dtype=torch.int64),
            "top5": torch.zeros((), dtype=torch.int64),
            "nll": torch.zeros((), dtype=torch.float64),
        }
        self.mistakes: list[Mistake] = []
        self._keep = keep

    def update(self, outputs: Tensor, batch: Batch) -> None:
        """outputs: logits [N, K]; batch.targets: [N]. Moves the logits to the CPU: one sync with
        the device."""
        logits = outputs.detach().float().cpu()
        targets = batch.targets.cpu()
        classes = logits.shape[1]
        confidence, predicted = logits.softmax(1).max(1)
        pairs = torch.bincount(targets * classes + predicted, minlength=classes * classes)
        self.sums["confusion"] += pairs.view(classes, classes)
        best = logits.topk(min(5, classes), dim=1).indices
        self.sums["top5"] += (best == targets[:, None]).sum()
        # float64: sums over millions of images must not lose the last ones
        log_p = logits.double().log_softmax(1).gather(1, targets[:, None])
        self.sums["nll"] -= log_p.sum()
        if self._keep:
            self._note_mistakes(batch.index.cpu(), targets, predicted, confidence)

    def merge(self, other: "ClassificationMetric") -> None:
        """Adds what another process counted."""
        for name, value in other.sums.items():
            self.sums[name] += value
        self._add_mistakes(other.mistakes)

    def result(self) -> dict[str, float]:
        """Returns top1 and top5 accuracy in [0, 1], the mean negative log-likelihood as "loss", and
        n."""
        confusion = self.sums["confusion"]
        n = int(confusion.sum())
        if n == 0:
            return {"top1": float("nan"), "top5": float("nan"), "loss": float("nan"), "n": 0}
        return {
            "top1": int(confusion.diagonal().sum()) / n,
            "top5": int(self.sums["top5"]) / n,
            "loss": float(self.sums["nll"]) / n,
            "n": n,
        }

    def _note_mistakes(
        self, index: Tensor, targets: Tensor, predicted: Tensor, confidence: Tensor
    ) -> None:
        wrong = (predicted != targets).nonzero().flatten()
        self._add_mistakes(
            [
                Mistake(int(index[i]), int(targets[i]), int(predicted[i]), float(confidence[i]))
                for i in wrong.tolist()
            ]
        )

    def _add_mistakes(self, more: list[Mistake]) -> None:
        ranked = sorted([*self.mistakes, *more], key=lambda each: (-each.confidence, each.index))
        self.mistakes = ranked[: self._keep]
