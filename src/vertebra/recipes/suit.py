"""The optimizer that suits a model: some networks were only ever trained with AdamW.

Source: A ConvNet for the 2020s (2022), table 5 (rate and weight decay); LeViT (2021), section 5.1.
At the rates that residual networks like, plain SGD makes such a network diverge within an epoch.
"""

from typing import Any

from vertebra.engine.optimizers import SGD, AdamW
from vertebra.models.convnext import ConvNeXtSpec
from vertebra.models.convnext_rung import ConvNeXtRungSpec
from vertebra.models.levit import LeViTSpec
from vertebra.models.shelf import BackboneSpec
from vertebra.models.specs import network_in
from vertebra.models.timm import TimmSpec
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary

ADAPTIVE = (ConvNeXtSpec, ConvNeXtRungSpec, LeViTSpec, TimmSpec)
"""Specs of networks that were trained so, or may have been."""

PUBLISHED, PUBLISHED_BATCH = AdamW(lr=4e-3, weight_decay=0.05), 4096


def suit(recipe: Recipe, model: BackboneSpec) -> Fitted:
    """Returns the recipe for `model`, with AdamW wherever it has SGD if the model wants that."""
    changes: dict[str, Any] = {"model": model}
    if isinstance(network_in(model).spec, ADAPTIVE):
        for place, phase in enumerate(recipe.phases):
            if isinstance(phase.optimizer, SGD):
                lr = PUBLISHED.lr_for(phase.data.batch_size / PUBLISHED_BATCH)
                changes[f"phases.{place}.optimizer"] = AdamW(
                    lr=lr, weight_decay=PUBLISHED.weight_decay
                )
    notes = ("optimizer: SGD -> AdamW, as networks of this kind are trained",)
    return Fitted(vary(recipe, changes), notes if len(changes) > 1 else ())
