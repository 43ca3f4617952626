"""Every kind of model that a recipe can hold."""

from typing import TypeAlias

from vertebra.models.resnet import ResNetSpec

ModelSpec: TypeAlias = ResNetSpec
