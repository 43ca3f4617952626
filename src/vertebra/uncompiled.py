"""Torch's optimizers and modes, of which torch's compiler is not told.

Torch hides parts of each from its compiler, and imports that to do so: seconds before the first
step, and memory. What is here is never compiled, so there is nothing to hide. What optimizers
compute and keep is torch's own.
"""

# torch documents what watches every operator under a private name only
# pyright: reportPrivateUsage=false

from inspect import unwrap
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Mode(TorchDispatchMode):
    """What sees every operator that torch runs while it is entered."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Optimizer(torch.optim.Optimizer):
    """What torch's optimizers have in common."""

    add_param_group: Any = unwrap(torch.optim.Optimizer.add_param_group)
    load_state_dict: Any = unwrap(torch.optim.Optimizer.load_state_dict)
    state_dict: Any = unwrap(torch.optim.Optimizer.state_dict)
    zero_grad: Any = unwrap(torch.optim.Optimizer.zero_grad)


class SGD(Optimizer, torch.optim.SGD):
    """Stochastic gradient descent with momentum."""

    step: Any = torch.no_grad()(unwrap(torch.optim.SGD.step))


class AdamW(Optimizer, torch.optim.AdamW):
    """Adam with decoupled weight decay."""

    step: Any = torch.no_grad()(unwrap(torch.optim.AdamW.step))
