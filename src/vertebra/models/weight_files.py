"""Files of published weights: where they lie on this machine, and what is in them."""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from vertebra.errors import CheckpointError, MissingExtra
from vertebra.models.catalogue import Weights

SUFFIX = ".safetensors"


def file_of(weights: Weights, *, download: bool) -> Path:
    """Returns the file: in $VERTEBRA_CACHE, else in the cache of huggingface_hub, else fetched.

    Raises:
        CheckpointError: it is not on this machine; the message says what to place where.
        MissingExtra: it is to be fetched, and huggingface_hub is not installed.
    """
    placed = placed_file(weights)
    if placed.is_file():
        return placed
    if found := _cached(weights):
        return found
    if not download:
        raise CheckpointError(
            f"the weights {weights.source} are not on this machine; add --download, or place "
            f"{weights.filename} of {_page(weights)} at {placed}"
        )
    hub = _hub()
    try:
        return Path(hub.hf_hub_download(weights.repository, weights.filename))
    except Exception as error:  # the hub's own, those of its HTTP library, the disk's
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(
            f"{weights.filename} of {_page(weights)} cannot be fetched ({told}); "
            f"place it at {placed}"
        ) from error


def placed_file(weights: Weights) -> Path:
    """Returns where to place the file by hand; it need not exist."""
    named = os.environ.get("VERTEBRA_CACHE")  # the same folder as vertebra.data.cache
    folder = Path(named) if named else Path.home() / ".cache" / "vertebra"
    return folder / "weights" / weights.repository / weights.filename


def read_weights(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a .safetensors file by name, on the CPU.

    Raises:
        CheckpointError: it is missing, or no such file; others could run code when they are read.
    """
    if path.suffix != SUFFIX:
        raise CheckpointError(f"{path} is no {SUFFIX} file; convert it to one, others are not read")
    try:
        with safe_open(path, framework="pt") as file:
            names: list[str] = file.keys()
            return {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; give a file of weights") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read as {SUFFIX} ({error}); fetch it again"
        ) from error


def _page(weights: Weights) -> str:
    return f"{weights.repository} on the Hugging Face Hub"


def _cached(weights: Weights) -> Path | None:
    if find_spec("huggingface_hub") is None:
        return None
    found = _hub().try_to_load_from_cache(weights.repository, weights.filename)
    return Path(found) if isinstance(found, str) else None


def _hub() -> Any:
    if find_spec("huggingface_hub") is None:
        raise MissingExtra(
            "huggingface_hub is not installed; bring it with `pip install vertebra[hub]`"
        )
    return import_module("huggingface_hub")
