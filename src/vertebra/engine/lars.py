"""LARS: momentum SGD in which each tensor's update is as long as a fixed share of its weights.

Source: Large Batch Training of Convolutional Networks (You et al. 2017), section 4, equation 6.
Differs: the ratio is taken to |g + wd w| rather than to |g| + wd |w|, and the rate multiplies the
    momentum rather than entering it, both as in BYOL (2020), whose presets are the ones in use;
    the rate of a schedule then acts at once.
"""

# torch documents its foreach functions under these names only
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

from vertebra import uncompiled


class LARS(uncompiled.Optimizer):
    """For each tensor: u = g + wd w;  u *= trust |w| / |u|;  v = momentum v + u;  w -= lr v.

    A ratio with |w| = 0 or |u| = 0 is 1. In a group whose "trust" is None it is always 1: biases
    and norms take plain momentum SGD. Norms are taken in the tensors' own dtype, without a sync
    with the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float | None = 0.001,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Updates every parameter that has a gradient; returns what `closure` gave, if any."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        weights: list[Tensor] = [p for p in group["params"] if p.grad is not None]
        if not weights:
            return
        gradients = [w.grad for w in weights if w.grad is not None]
        momenta = [self._momentum(w) for w in weights]
        updates = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        if group["trust"] is not None:
            torch._foreach_mul_(updates, _ratios(weights, updates, group["trust"]))
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, updates)
        torch._foreach_add_(weights, momenta, alpha=-group["lr"])

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


def _ratios(weights: list[Tensor], updates: list[Tensor], trust: float) -> list[Tensor]:
    """Returns trust |w| / |u| of each tensor, and 1 where either norm is 0."""
    of_weights = torch.stack(torch._foreach_norm(weights))
    of_updates = torch.stack(torch._foreach_norm(updates))
    is_defined = (of_weights > 0) & (of_updates > 0)
    return list(torch.where(is_defined, trust * of_weights / of_updates, 1.0).unbind())
