"""Loads the weights of other libraries' residual networks, by tables of names.

A name is read part by part: where the part stands (`stages.0.1` is `layer1.1`), which part it is
(`reduce.conv` is `conv1`), and which tensor of it (`weight`, the same everywhere).
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from vertebra.contracts import Backbone, Classifier
from vertebra.errors import CheckpointError
from vertebra.models.shell import ResidualBlock, ResidualNet


class Names(NamedTuple):
    """What another library calls our parts: those of the whole network, and those of a block."""

    library: str
    network: Mapping[str, str]
    block: Mapping[str, str]


HEAD = "fc"
"""What both libraries call the classifier's last layer."""

TORCHVISION = Names(
    library="torchvision",
    network={"stem.whole.conv": "conv1", "stem.whole.norm": "bn1"},
    block={
        "first.conv": "conv1",
        "first.norm": "bn1",
        "second.conv": "conv2",
        "second.norm": "bn2",
        "reduce.conv": "conv1",
        "reduce.norm": "bn1",
        "spatial.conv": "conv2",
        "spatial.norm": "bn2",
        "expand.conv": "conv3",
        "expand.norm": "bn3",
        "shortcut.conv": "downsample.0",
        "shortcut.norm": "downsample.1",
    },
)
TIMM = Names(
    library="timm",
    network={
        **TORCHVISION.network,
        "stem.first.conv": "conv1.0",
        "stem.first.norm": "conv1.1",
        "stem.second.conv": "conv1.3",
        "stem.second.norm": "conv1.4",
        "stem.third.conv": "conv1.6",
        "stem.third.norm": "bn1",
        "stem.pool.conv": "maxpool.0",
        "stem.pool.norm": "maxpool.1",
    },
    block={
        **TORCHVISION.block,
        "gate.squeeze": "se.fc1",
        "gate.excite": "se.fc2",
        "shortcut.project.conv": "downsample.1",
        "shortcut.project.norm": "downsample.2",
    },
)


def load_timm(model: Classifier | Backbone, state: Mapping[str, Tensor]) -> None:
    """Copies a state dict of timm's `resnet.py` (also -C, -D, SE and RS) into our same model.

    model: a bare backbone takes everything but the classifier's last layer.

    Raises:
        CheckpointError: a tensor is missing, left over, or of another shape.
    """
    _load(model, state, TIMM)


def load_torchvision(model: Classifier | Backbone, state: Mapping[str, Tensor]) -> None:
    """Copies a state dict of torchvision's ResNet into our same model, as `load_timm` does.

    Raises:
        CheckpointError: a tensor is missing, left over, or of another shape.
    """
    _load(model, state, TORCHVISION)


def _load(model: Classifier | Backbone, state: Mapping[str, Tensor], names: Names) -> None:
    ours = model.state_dict()
    theirs = _foreign_names(model, names)
    ignored = () if isinstance(model, Classifier) else (f"{HEAD}.weight", f"{HEAD}.bias")
    # Old files lack the norms' step counters, the only tensors of rank 0; torch restarts them.
    missing = [theirs[key] for key in ours if theirs[key] not in state and ours[key].ndim]
    left_over = [key for key in state if key not in theirs.values() and key not in ignored]
    if missing or left_over:
        raise CheckpointError(
            f"the weights are not this model's as {names.library} names it: "
            f"missing {_some(missing)}; left over {_some(left_over)}; "
            "build the model they belong to"
        )
    found = {key: state[theirs[key]] for key in ours if theirs[key] in state}
    _check_shapes(ours, found, theirs)
    model.load_state_dict({**ours, **found})


def _foreign_names(model: Classifier | Backbone, names: Names) -> dict[str, str]:
    """Returns the other library's name for each entry of the model's state dict."""
    backbone = model.backbone if isinstance(model, Classifier) else model
    if not isinstance(backbone, ResidualNet):
        raise CheckpointError(
            f"the model is of class {type(backbone).__name__}; "
            f"weights of {names.library} load into a residual network only"
        )
    modules: dict[str, str] = dict(names.network)
    for place, module in backbone.named_modules():
        if isinstance(module, ResidualBlock):
            _, stage, index = place.split(".")
            foreign = f"layer{int(stage) + 1}.{index}"
            modules |= {
                f"{place}.{ours}": f"{foreign}.{name}" for ours, name in names.block.items()
            }
    if isinstance(model, Classifier):
        modules = {f"backbone.{ours}": name for ours, name in modules.items()} | {"head.fc": HEAD}
    split = {key: key.rpartition(".") for key in model.state_dict()}
    return {
        key: f"{modules.get(module, module)}.{tensor}" for key, (module, _, tensor) in split.items()
    }


def _check_shapes(
    ours: Mapping[str, Tensor], found: Mapping[str, Tensor], theirs: Mapping[str, str]
) -> None:
    for key, tensor in found.items():
        if tensor.shape == ours[key].shape:
            continue
        if theirs[key].startswith(f"{HEAD}."):
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
