"""Loads the weights of other libraries into our same models, by the rules of their names."""

from collections.abc import Mapping

from torch import Tensor

from vertebra.contracts import Backbone, Classifier
from vertebra.errors import CheckpointError
from vertebra.models import residual_names
from vertebra.models.names import Names
from vertebra.models.shell import ResidualNet

TIMM: Mapping[type[Backbone], Names] = {ResidualNet: residual_names.TIMM}
TORCHVISION: Mapping[type[Backbone], Names] = {ResidualNet: residual_names.TORCHVISION}
"""Class of a backbone -> the names that a library gives its tensors."""


def load_timm(model: Classifier | Backbone, state: Mapping[str, Tensor]) -> None:
    """Copies a state dict of timm's model into ours of the same name.

    model: a bare backbone takes everything but the classifier's last layer.

    Raises:
        CheckpointError: a tensor is missing, left over, or of another shape.
    """
    _load(model, state, TIMM, "timm")


def load_torchvision(model: Classifier | Backbone, state: Mapping[str, Tensor]) -> None:
    """Copies a state dict of torchvision's model into ours of the same name, as `load_timm` does.

    Raises:
        CheckpointError: a tensor is missing, left over, or of another shape.
    """
    _load(model, state, TORCHVISION, "torchvision")


def _load(
    model: Classifier | Backbone,
    state: Mapping[str, Tensor],
    known: Mapping[type[Backbone], Names],
    library: str,
) -> None:
    names = _names_of(model, known, library)
    ours = model.state_dict()
    theirs = {key: names.translate(_in_classifier(model, key)) for key in ours}
    wanted = set(theirs.values())
    # Old files lack the norms' step counters, the only tensors of rank 0; torch restarts them.
    missing = [theirs[key] for key in ours if theirs[key] not in state and ours[key].ndim]
    takes_head = isinstance(model, Classifier)
    left_over = [
        key for key in state if key not in wanted and (takes_head or not names.is_of_head(key))
    ]
    if missing or left_over:
        raise CheckpointError(
            f"the weights are not this model's as {library} names it: "
            f"missing {_some(missing)}; left over {_some(left_over)}; "
            "build the model they belong to"
        )
    found = {key: state[theirs[key]] for key in ours if theirs[key] in state}
    _check_shapes(ours, found, theirs, names)
    model.load_state_dict({**ours, **found})


def _names_of(
    model: Classifier | Backbone, known: Mapping[type[Backbone], Names], library: str
) -> Names:
    kind = type(model.backbone if isinstance(model, Classifier) else model)
    if kind not in known:
        raise CheckpointError(
            f"the model is of class {kind.__name__}; weights of {library} load into "
            f"{', '.join(sorted(each.__name__ for each in known))} only"
        )
    return known[kind]


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
