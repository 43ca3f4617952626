"""Every kind of model that a recipe can hold."""

from typing import NamedTuple, TypeAlias

from vertebra.models.divide import DividedSpec
from vertebra.models.ensemble import EnsembleSpec
from vertebra.models.networks import NetworkSpec
from vertebra.models.shelf import BackboneSpec

ModelSpec: TypeAlias = NetworkSpec | DividedSpec | EnsembleSpec


class Inner(NamedTuple):
    """The description of one network within that of a model, and its path in a recipe."""

    path: str
    spec: BackboneSpec


def network_in(model: BackboneSpec) -> Inner:
    """Returns what each network of a model is, or was before the division; of one, itself."""
    match model:
        case DividedSpec(whole=whole):
            return Inner("model.whole", whole)
        case EnsembleSpec(member=member):
            return Inner("model.member", member)
        case _:
            return Inner("model", model)
