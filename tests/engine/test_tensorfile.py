from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.engine.numbered import assert_exactly, content

from vertebra.engine import disk, tensorfile
from vertebra.errors import DeviceError

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), max_size=4),
    name=st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable()),
    layout=st.sampled_from(["plain", "turned", "strided"]),
)
def test_any_tensor_is_read_back_by_the_safetensors_library(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: torch.dtype,
    shape: list[int],
    name: str,
    layout: str,
):
    path = tmp_path_factory.mktemp("files") / "one.safetensors"
    tensor = (torch.randn(shape) * 3).to(dtype)
    if shape:
        tensor = {"turned": tensor.transpose(0, -1), "strided": tensor[::2]}.get(layout, tensor)
    tensors = {name: tensor, "odd": torch.ones(3)}
    tensorfile.write(path, tensors, {"note": "é"})
    assert_exactly(load_file(path), tensors)
    assert tensorfile.read(path)[1] == {"note": "é"}


def test_what_the_format_lacks_is_refused(tmp_path: Path):
    with pytest.raises(TypeError, match=r"'z' is torch\.complex64; convert it"):
        tensorfile.write(tmp_path / "z", {"z": torch.zeros(1, dtype=torch.complex64)}, {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always full device")
def test_a_real_full_device_is_told_as_one(tmp_path: Path):
    with pytest.raises(DeviceError, match="no space left"), disk.writing(tmp_path / "x", 1):
        tensorfile.write(Path("/dev/full"), content(1)["model"], {})
