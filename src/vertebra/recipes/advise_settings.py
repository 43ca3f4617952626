"""How to regularise: the longer the training and the larger the network, the more.

Source: Revisiting ResNets (2021): sections 4 and 6, table 1 (magnitudes), table 2
(a lower weight decay helps only once several regularisers are on), scaling experiments (none in the
short runs; dropout by width), released code (rate, average).
Differs: what lies between their lengths, 10, 100 and 350 epochs, keeps what `small` has; short runs
keep 1e-4 of weight decay, which table 2 prefers without other regularisers.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from vertebra.recipes.advise_rungs import MANY, Rung

SHORT = 30
"""Epochs below which nothing holds the network back."""

DROPOUT: Mapping[float, float] = {0.25: 0.0, 0.5: 0.1, 1.0: 0.25}
"""Width -> dropout before the classifier, at the paper's 350 epochs."""

LONG = 100_000
"""Updates from which on the average is as slow as the published one, after 109,475; the ramp of a
shorter run keeps it from looking back over more than a ninth."""

PUBLISHED_RATE, PUBLISHED_BATCH = 0.1, 256


class Settings(NamedTuple):
    """Changes to the recipe `small` by path, and a sentence for each idea behind them."""

    changes: dict[str, Any]
    reasons: tuple[str, ...]


def settings(rung: Rung, *, epochs: int, updates: float, batch_size: int) -> Settings:
    """Returns how a rung of the ResNet-RS family is trained for so many epochs and updates."""
    changes: dict[str, Any] = {"averaging.decay": 0.9999} if updates >= LONG else {}
    reasons: list[str] = []
    if epochs < SHORT:
        changes |= {"data.augment.rand_augment": None, "method.loss.smoothing": 0.0}
        reasons.append(
            f"{epochs} epochs, fewer than {SHORT}, leave no time to over-fit: no RandAugment and "
            "no label smoothing, as in the short runs of ResNet-RS"
        )
    elif epochs >= MANY and (rung.width or 1) > min(DROPOUT):
        changes |= _held_back(rung)
        reasons.append(
            f"{epochs} epochs are enough to over-fit: RandAugment of magnitude "
            f"{changes['data.augment.rand_augment.magnitude']}, dropout {changes['dropout']}, and "
            "with so many regularisers a weight decay of 4e-5 (ResNet-RS, tables 1 and 2)"
        )
    else:
        reasons.append(
            f"{epochs} epochs of a small network: light RandAugment and label smoothing, no "
            "dropout, and so a weight decay of 1e-4 (ResNet-RS, table 2)"
        )
    if rung.width == 1:
        rate = PUBLISHED_RATE * batch_size / PUBLISHED_BATCH
        changes["optimizer.lr"] = rate
        reasons.append(f"rate {rate:g}: at full width the published 0.1 for 256 images")
    return Settings(changes, tuple(reasons))


def _held_back(rung: Rung) -> dict[str, Any]:
    dropout = 0.4 if rung.image_size >= 320 else DROPOUT[rung.width or 1.0]
    return {
        "data.augment.rand_augment.count": 2,
        "data.augment.rand_augment.magnitude": 10 if rung.image_size < 192 else 15,
        "dropout": dropout,
        "optimizer.weight_decay": 4e-5,
    }
