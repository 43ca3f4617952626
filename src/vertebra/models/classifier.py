"""A backbone with the head it is published with: linear, unless it brings its own."""

import math
from abc import abstractmethod

from torch import nn

from vertebra.contracts import Backbone, Classifier
from vertebra.layers.linear_head import LinearHead
from vertebra.models.shelf import BackboneSpec


class BackboneWithHead(Backbone):
    """A backbone whose paper puts something else than one linear layer on its vector."""

    @abstractmethod
    def build_head(self, classes: int, *, dropout: float = 0.0) -> nn.Module:
        """Returns a fresh head: vector [N, width] -> logits [N, classes]."""


def build_head(backbone: Backbone, classes: int, *, dropout: float = 0.0) -> nn.Module:
    """Returns a fresh head for `backbone`: vector [N, width] -> logits [N, classes]."""
    if isinstance(backbone, BackboneWithHead):
        return backbone.build_head(classes, dropout=dropout)
    return LinearHead(backbone.width, classes, dropout=dropout)


def build_classifier(
    spec: BackboneSpec, *, classes: int, in_channels: int = 3, dropout: float = 0.0
) -> Classifier:
    """Returns the network and its head, freshly initialised from torch's current generator.

    dropout: on the pooled vector, in [0, 1).
    """
    backbone = spec.build(in_channels)
    return Classifier(backbone, build_head(backbone, classes, dropout=dropout))


def start_improbable(model: Classifier, classes: int) -> None:
    """Sets the biases of the logits to -log K, with which each class has the chance 1 / (K + 1).

    Source: Focal Loss for Dense Object Detection (2017), section 3.3.
    """
    for each in model.head.modules():
        if isinstance(each, nn.Linear) and each.out_features == classes:
            nn.init.constant_(each.bias, -math.log(classes))
