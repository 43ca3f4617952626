"""Fine-tuning: how gently a method trains the levels of a network that others have trained before.

Source: A ConvNet for the 2020s (2022), appendix A (a rate that decays from the head towards the
image); How transferable are features in deep neural networks? (2014), section 4 (frozen levels).
Differs: a level is what the backbone says it is, a stem or a stage; of a ConvNeXt a run of three
blocks, as in the paper, but its last norm is a level too, where the paper counts it with the head.

    image --> stem --> stage1 --> stage2 --> stage3 --> stage4 --> head
    rate      d^5      d^4        d^3        d^2        d          1
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from vertebra.contracts import Backbone, Method, ParameterGroup
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Describes which levels of the backbone learn, and at what rate.

    rate_decay:    in (0, 1]: each level learns at this share of the rate of the level after it, the
                   last one at this share of the head's; 1 is the same rate for all.
    frozen_levels: so many levels, counted from the image, learn nothing; their batch statistics
                   rest too. With "all" only what stands behind them learns: a linear probe.
    """

    rate_decay: float = 1.0
    frozen_levels: int | Literal["all"] = 0

    def __post_init__(self) -> None:
        if not 0 < self.rate_decay <= 1:
            raise RecipeError(
                f"rate_decay={self.rate_decay}; give a share above 0, at most 1, often 0.7"
            )
        if self.frozen_levels != "all" and self.frozen_levels < 0:
            raise RecipeError(f"frozen_levels={self.frozen_levels}; give zero or more, or all")

    def check(self, model: nn.Module) -> None:
        """Refuses what does not suit the model.

        Raises:
            RecipeError: it has no backbone, or fewer levels than are to be frozen.
        """
        if self == FineTuning():
            return
        levels = len(backbone_of(model).levels())
        if self.frozen_levels != "all" and self.frozen_levels > levels:
            raise RecipeError(
                f"frozen_levels={self.frozen_levels}, but the backbone has {levels}; "
                f"give at most that many"
            )

    def freeze(self, method: Method) -> None:
        """Takes the frozen levels out of training; do it before the optimizer is built.

        Raises:
            RecipeError: as `check`.
        """
        self.check(method.deployable())
        if self.frozen_levels:
            backbone = backbone_of(method.deployable())
            levels = len(backbone.levels()) if self.frozen_levels == "all" else self.frozen_levels
            backbone.freeze(levels)

    def parameter_groups(self, method: Method) -> list[ParameterGroup]:
        """Returns the method's own groups, each divided by level where the levels' rates differ.

        What stands in no level (the head, a projector, a second network) keeps its rate.
        """
        groups = method.parameter_groups()
        if self.rate_decay == 1:
            return groups
        return _divided(groups, backbone_of(method.deployable()).levels(), self.rate_decay)


def backbone_of(model: nn.Module) -> Backbone:
    """Returns the one backbone in the model.

    Raises:
        RecipeError: there is none, or several.
    """
    found = list(dict.fromkeys(_backbones(model)))
    if len(found) != 1:
        raise RecipeError(
            f"the {type(model).__name__} has {len(found)} backbones; rate_decay and frozen_levels "
            f"need one: leave them at 1 and 0"
        )
    return found[0]


def _backbones(module: nn.Module) -> Iterator[Backbone]:
    """Yields the backbones that are no part of another one."""
    if isinstance(module, Backbone):
        yield module
    else:
        for child in module.children():
            yield from _backbones(child)


def _divided(
    groups: Sequence[ParameterGroup], levels: Sequence[nn.Module], rate_decay: float
) -> list[ParameterGroup]:
    place = {id(each): n for n, level in enumerate(levels) for each in level.parameters()}
    made: list[ParameterGroup] = []
    for group in groups:
        for n in range(len(levels) + 1):
            where = f"level {n + 1} of {len(levels)}" if n < len(levels) else "beyond the levels"
            made.append(
                group._replace(
                    name=f"{group.name}, {where}",
                    parameters=[
                        each for each in group.parameters if place.get(id(each), len(levels)) == n
                    ],
                    lr_scale=group.lr_scale * rate_decay ** (len(levels) - n),
                )
            )
    return made
