"""The optimizers that a recipe can name: SGD, AdamW and LARS, each a spec with its `build`.

Source: Bag of Tricks for Image Classification (2019), section 3.1: no decay on norms and biases,
    and the linear scaling of the rate with the batch; On the SDEs and Scaling Rules for Adaptive
    Gradient Algorithms (2022), section 5: its square root for Adam.

Torch's fused kernel makes the update where the device has one, else the foreach form; the
arithmetic is the same. Fused kernels walk memory and trust that a parameter, its gradient and its
state lie there in the same order. Autograd gives that; who writes a state must see to it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from vertebra import uncompiled
from vertebra.contracts import ParameterGroup
from vertebra.engine import lars
from vertebra.errors import RecipeError

_FUSED_DEVICES = frozenset({"cpu", "cuda", "mps", "xpu"})


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Describes stochastic gradient descent with momentum.

    lr:           peak rate at the recipe's batch; `scale_lr` gives it for another batch.
    weight_decay: L2, inside the gradient: momentum smooths it and the rate multiplies it.
    """

    lr: float
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        _require_rate("SGD", self.lr)
        _require_share("SGD momentum", self.momentum)
        _require_decay("SGD", self.weight_decay)
        if self.nesterov and self.momentum == 0:
            raise RecipeError(
                "SGD nesterov=True with momentum=0; give a momentum or nesterov=False"
            )

    def lr_for(self, share: float) -> float:
        """Returns the rate for `share` of the batch: it moves linearly."""
        return self.lr * share

    def build(self, groups: Sequence[ParameterGroup], device: torch.device) -> torch.optim.SGD:
        """Returns the optimizer of `groups`, whose parameters are already on `device`."""
        optimizer = uncompiled.SGD(
            torch_groups(groups, self.lr, weight_decay=self.weight_decay),
            momentum=self.momentum,
            nesterov=self.nesterov,
            **_kernel(device),
        )
        if self.momentum > 0:
            # torch's fused form fails on a parameter whose first gradient comes after the others';
            # from zero the first update is the same to the bit
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Describes Adam with decoupled weight decay.

    weight_decay: share of a weight taken off at each update, times the rate.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        _require_rate("AdamW", self.lr)
        for place, beta in enumerate(self.betas):
            _require_share(f"AdamW betas[{place}]", beta)
        if not 0 < self.eps < math.inf:
            raise RecipeError(f"AdamW eps={self.eps}; give a finite number above 0, such as 1e-8")
        _require_decay("AdamW", self.weight_decay)

    def lr_for(self, share: float) -> float:
        """Returns the rate for `share` of the batch: it moves with the square root, as the noise
        of gradients that are divided by their own size does."""
        return self.lr * math.sqrt(share)

    def build(self, groups: Sequence[ParameterGroup], device: torch.device) -> torch.optim.AdamW:
        """Returns the optimizer of `groups`, whose parameters are already on `device`."""
        return uncompiled.AdamW(
            torch_groups(groups, self.lr, weight_decay=self.weight_decay),
            betas=self.betas,
            eps=self.eps,
            **_kernel(device),
        )


@dataclass(frozen=True, kw_only=True)
class LARS:
    """Describes layer-wise adaptive rates for very large batches; see `engine/lars.py`.

    trust: length of an update relative to that of its weights, before the rate; groups that do not
           decay get plain momentum SGD.
    """

    lr: float
    momentum: float = 0.9
    weight_decay: float = 1e-6
    trust: float = 0.001

    def __post_init__(self) -> None:
        _require_rate("LARS", self.lr)
        _require_share("LARS momentum", self.momentum)
        _require_decay("LARS", self.weight_decay)
        if not 0 < self.trust < math.inf:
            raise RecipeError(
                f"LARS trust={self.trust}; give a finite number above 0, such as 1e-3"
            )

    def lr_for(self, share: float) -> float:
        """Returns the rate for `share` of the batch: it moves linearly."""
        return self.lr * share

    def build(self, groups: Sequence[ParameterGroup], device: torch.device) -> lars.LARS:
        """Returns the optimizer of `groups`; its foreach form serves every device."""
        prepared = torch_groups(groups, self.lr, weight_decay=self.weight_decay)
        for group in prepared:
            group["trust"] = self.trust if group["decays"] else None
        return lars.LARS(prepared, lr=self.lr, momentum=self.momentum)


OptimizerSpec: TypeAlias = SGD | AdamW | LARS


def scale_lr(lr_per_256: float, batch_size: int) -> float:
    """Returns the rate for a batch by the linear rule: `lr_per_256 * batch_size / 256`.

    batch_size: images in one update, over all processes and accumulated batches.
    """
    return lr_per_256 * batch_size / 256


def torch_groups(
    groups: Sequence[ParameterGroup], lr: float, *, weight_decay: float
) -> list[dict[str, Any]]:
    """Returns the groups as torch takes them, with "name", "lr_scale" and "decays"; no empty ones.

    Raises:
        RecipeError: there is nothing to train.
    """
    prepared = [
        {
            "params": group.parameters,
            "name": group.name,
            "lr": lr * group.lr_scale,
            "lr_scale": group.lr_scale,
            "decays": group.decays,
            "weight_decay": weight_decay if group.decays else 0.0,
        }
        for group in groups
        if group.parameters
    ]
    if not prepared:
        raise RecipeError("the method has no trainable parameter; leave some part of it unfrozen")
    return prepared


def _kernel(device: torch.device) -> dict[str, bool]:
    return {"fused": True} if device.type in _FUSED_DEVICES else {"foreach": True}


def _require_rate(part: str, lr: float) -> None:
    if not 0 < lr < math.inf:
        raise RecipeError(f"{part} lr={lr}; give a finite number above 0")


def _require_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise RecipeError(f"{name}={value}; give a number from 0 up to, but not including, 1")


def _require_decay(part: str, weight_decay: float) -> None:
    if not 0 <= weight_decay < math.inf:
        raise RecipeError(f"{part} weight_decay={weight_decay}; give a finite number, 0 or more")
