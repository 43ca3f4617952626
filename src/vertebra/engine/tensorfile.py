"""One .safetensors file, written tensor by tensor and read back with its errors explained.

The format: 8 bytes with the length of the header (little endian); a JSON header with each tensor's
dtype, shape and place; the tensors' bytes. It is written here, so that a save needs memory for its
largest tensor only, is hashed on the way and meets a full disk as an `OSError`; the safetensors
library reads it. Tensors that share memory are each written.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vertebra.engine.disk import Written, write_parts
from vertebra.errors import CheckpointError
from vertebra.records import Json

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Written:
    """Writes the tensors, from any device and in any memory layout, and waits for the disk.

    Raises:
        TypeError: a dtype that the format lacks.
        OSError: no space, or no right to write.
    """
    return write_parts(path, _parts(tensors, metadata))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors by name, on the CPU and contiguous, and the metadata.

    The values are mapped from the file and copied when they are first changed.

    Raises:
        CheckpointError: the file is missing or is no .safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names: list[str] = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; give a file that was saved") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read as .safetensors ({error}); restore it or save it again"
        ) from error


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Returns a SHA-256 over names, dtypes, shapes and values, whatever device and layout."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(f"{name} {_dtype(name, tensors)} {list(tensors[name].shape)}\n".encode())
        whole.update(_memory(tensors[name]))
    return whole.hexdigest()


def _parts(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    # wide dtypes first: every tensor then begins at a multiple of its element's size
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Json] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        dtype, shape = _dtype(name, tensors), list(tensors[name].shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        yield _memory(tensors[name])


def _dtype(name: str, tensors: Mapping[str, Tensor]) -> str:
    dtype = tensors[name].dtype
    if dtype not in _DTYPES:
        raise TypeError(f"tensor {name!r} is {dtype}; convert it to one of {list(_DTYPES)}")
    return _DTYPES[dtype]


def _memory(tensor: Tensor) -> memoryview:
    """Returns the bytes of the values, the last index fastest; a copy only where it must be."""
    packed = tensor.detach().cpu().contiguous()
    # a dimension of 0 or 1 may keep any stride, which a view as bytes does not take
    return packed.as_strided((packed.numel(),), (1,)).view(torch.uint8).numpy().data
