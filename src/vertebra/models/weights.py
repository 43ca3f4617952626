"""Loads the weights of other libraries into our same models, by the rules of their names."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from vertebra.contracts import Backbone, Classifier
from vertebra.errors import CheckpointError
from vertebra.layers.selective_kernel import SelectiveKernel
from vertebra.models import bit, convnext_names, ghostnet_names, levit_names, residual_names
from vertebra.models.convnext import ConvNeXt
from vertebra.models.ghostnet import GhostNet
from vertebra.models.levit import LeViT
from vertebra.models.names import Names
from vertebra.models.shell import ResidualNet

TIMM: Mapping[type[nn.Module], Names] = {
    SelectiveKernel: residual_names.TIMM_SELECTIVE,
    bit.BiT: bit.TIMM,
    ResidualNet: residual_names.TIMM,
    GhostNet: ghostnet_names.TIMM,
    ConvNeXt: convnext_names.TIMM,
    LeViT: levit_names.TIMM,
}
TORCHVISION: Mapping[type[nn.Module], Names] = {
    ResidualNet: residual_names.TORCHVISION,
    ConvNeXt: convnext_names.TORCHVISION,
}
"""Class of a backbone, or before it of a part that changes the names of the whole -> the names that
a library gives its tensors; the first that is in a model counts."""


OURS = Names("vertebra", (), heads=("head",))
"""The names that a run's own file has, with or without the `backbone.` before them."""


class Misfits(NamedTuple):
    """The other library's names of tensors that a file lacks, or has too many; heads aside."""

    missing: list[str]
    left_over: list[str]


def load_timm(model: Classifier | Backbone, state: Mapping[str, Tensor]) -> None:
    """Copies a state dict of timm's model into ours of the same name.

    model: a bare backbone takes everything but the classifier's last layer.

    Raises:
        CheckpointError: a tensor is missing, left over, or of another shape.
    """
    load_as(model, state, _names_of(model, TIMM, "timm"))


def load_torchvision(model: Classifier | Backbone, state: Mapping[str, Tensor]) -> None:
    """Copies a state dict of torchvision's model into ours of the same name, as `load_timm` does.

    Raises:
        CheckpointError: a tensor is missing, left over, or of another shape.
    """
    load_as(model, state, _names_of(model, TORCHVISION, "torchvision"))


def namings(model: Classifier | Backbone) -> list[Names]:
    """Returns every way to name the model's tensors, our own first."""
    parts = {type(part) for part in model.modules()}
    found = [OURS]
    for known in (TIMM, TORCHVISION):
        found += [names for kind, names in known.items() if kind in parts][:1]
    return found


def misfits(model: Classifier | Backbone, state: Mapping[str, Tensor], names: Names) -> Misfits:
    """Returns what keeps `load_as` from loading, shapes aside."""
    ours = model.state_dict()
    theirs = {key: names.translate(_in_classifier(model, key)) for key in ours}
    wanted = set(theirs.values())
    # Old files lack the norms' step counters, the only tensors of rank 0; torch restarts them.
    missing = [theirs[key] for key in ours if theirs[key] not in state and ours[key].ndim]
    takes_head = isinstance(model, Classifier)
    left_over = [
        key for key in state if key not in wanted and (takes_head or not names.is_of_head(key))
    ]
    return Misfits(missing, left_over)


def load_as(model: Classifier | Backbone, state: Mapping[str, Tensor], names: Names) -> None:
    """Copies a state dict whose tensors are called as `names` says, as `load_timm` does.

    Raises:
        CheckpointError: a tensor is missing, left over, or of another shape.
    """
    missing, left_over = misfits(model, state, names)
    if missing or left_over:
        raise CheckpointError(
            f"the weights are not this model's as {names.library} names it: "
            f"missing {_some(missing)}; left over {_some(left_over)}; "
            "build the model they belong to"
        )
    ours = model.state_dict()
    theirs = {key: names.translate(_in_classifier(model, key)) for key in ours}
    found = {key: _in_shape(state[theirs[key]], ours[key]) for key in ours if theirs[key] in state}
    _check_shapes(ours, found, theirs, names)
    model.load_state_dict({**ours, **found})


def _in_shape(tensor: Tensor, ours: Tensor) -> Tensor:
    """Returns the tensor, in the shape of ours if nothing but axes of length one differs."""
    lengths = [[n for n in each.shape if n != 1] for each in (tensor, ours)]
    return tensor.reshape(ours.shape) if lengths[0] == lengths[1] else tensor


def _names_of(
    model: Classifier | Backbone, known: Mapping[type[nn.Module], Names], library: str
) -> Names:
    parts = {type(part) for part in model.modules()}
    for kind, names in known.items():
        if kind in parts:
            return names
    backbone = model.backbone if isinstance(model, Classifier) else model
    able = sorted(kind.__name__ for kind in known if issubclass(kind, Backbone))
    raise CheckpointError(
        f"the model is of class {type(backbone).__name__}; weights of {library} load into "
        f"{', '.join(able)} only"
    )


def _in_classifier(model: Classifier | Backbone, key: str) -> str:
    return key if isinstance(model, Classifier) else f"backbone.{key}"


def _check_shapes(
    ours: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    theirs: Mapping[str, str],
    names: Names,
) -> None:
    for key, tensor in found.items():
        if tensor.shape == ours[key].shape:
            continue
        if names.is_of_head(theirs[key]):
            raise CheckpointError(
                f"the weights have {len(tensor)} classes and the model {len(ours[key])}; "
                f"build it with {len(tensor)} classes, or load into its backbone alone"
            )
        raise CheckpointError(
            f"{theirs[key]} is {list(tensor.shape)} and the model's is {list(ours[key].shape)}; "
            "build the model with the width and input channels of the weights"
        )


def _some(names: list[str]) -> str:
    if not names:
        return "nothing"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
