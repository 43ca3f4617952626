"""The regularisers of a recipe beside weight decay: taken off, and put on again one set at a time.

Source: Revisiting ResNets (2021), table 2, for the sets and, where a recipe has none, the values.
Differs: mixed and erased images, of which the paper has none, are taken off and not put on again.
"""

from dataclasses import dataclass
from typing import Any

from vertebra.data.randaugment import RandAugment
from vertebra.errors import RecipeError
from vertebra.methods.supervised import LossSpec, SupervisedSpec
from vertebra.models.shelf import title
from vertebra.models.specs import network_in
from vertebra.recipes.recipe import Phase, Recipe

SMOOTHING, DROPOUT = 0.1, 0.25
"""Of the paper's ResNet-RS with 50 layers; narrower networks had less dropout."""

NONE, TWO, ALL = "none", "RandAugment, label smoothing", "+ dropout"
"""What the sets are called; stochastic depth comes with dropout."""

DEEP = ", stochastic depth"


@dataclass(frozen=True, kw_only=True)
class Regularisers:
    """What is on beside weight decay; 0 and None leave one out."""

    rand_augment: RandAugment | None = None
    smoothing: float = 0.0
    dropout: float = 0.0
    stochastic_depth: float = 0.0

    @property
    def sets(self) -> "dict[str, Regularisers]":
        """The rows of the table: none of them, two, and all."""
        two = Regularisers(rand_augment=self.rand_augment, smoothing=self.smoothing)
        return {NONE: Regularisers(), TWO: two, ALL + DEEP * bool(self.stochastic_depth): self}

    def changes(self, recipe: Recipe) -> dict[str, Any]:
        """Returns what leaves the recipe with these and no others, as `vary` takes it."""
        changes: dict[str, Any] = {"dropout": self.dropout}
        path, network = network_in(recipe.model)
        if self.stochastic_depth or vars(network).get("stochastic_depth"):
            changes[f"{path}.stochastic_depth"] = self.stochastic_depth
        for place in range(len(recipe.phases)):
            inner = {
                "data.augment.rand_augment": self.rand_augment,
                "data.augment.mixing": None,
                "data.augment.erase": None,
                "method.loss.smoothing": self.smoothing,
            }
            changes |= {f"phases.{place}.{name}": value for name, value in inner.items()}
        return changes


def regularisers_of(
    recipe: Recipe, *, dropout: float | None = None, stochastic_depth: float | None = None
) -> Regularisers:
    """Returns those of the recipe, with the paper's values where it has none.

    Stochastic depth is there only where the recipe has it, or it is given.

    Raises:
        RecipeError: the recipe does not learn from labels alone, a rate leaves its row as the one
            before, or the network has no stochastic depth.
    """
    losses = [_loss(phase, recipe) for phase in recipe.phases]
    if dropout is not None and dropout <= 0:
        raise RecipeError(f"dropout={dropout} adds nothing to its row; give a rate in (0, 1)")
    data = recipe.phases[-1].data
    size = data.preprocess.image_size
    return Regularisers(
        rand_augment=data.augment.rand_augment
        or RandAugment(pool="tf", count=2, magnitude=10, reference_px=size),
        smoothing=losses[-1].smoothing or SMOOTHING,
        dropout=dropout or recipe.dropout or DROPOUT,
        stochastic_depth=_stochastic_depth(recipe, stochastic_depth),
    )


def _loss(phase: Phase, recipe: Recipe) -> LossSpec:
    method = phase.method
    if not isinstance(method, SupervisedSpec) or phase.data.views or phase.data.beside:
        raise RecipeError(
            f"recipe {recipe.name!r} learns from more than labels, of which this study knows "
            f"nothing; choose a supervised one, as small"
        )
    return method.loss


def _stochastic_depth(recipe: Recipe, wanted: float | None) -> float:
    network = vars(network_in(recipe.model).spec)
    if wanted is None:
        return network.get("stochastic_depth") or 0.0
    if wanted and "stochastic_depth" not in network:
        raise RecipeError(
            f"{title(recipe.model)} has no stochastic depth to set; choose a network that has, "
            f"as resnetrs26, or leave --stochastic-depth out"
        )
    return wanted
