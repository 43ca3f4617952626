"""On what a run ran: versions, device, and the revision of the code."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from vertebra.records import Json

PACKAGES = ("vertebra", "torchvision", "numpy", "pillow", "safetensors")


def describe(device: torch.device, *, processes: int = 1) -> dict[str, Json]:
    """Returns what decides whether a run can be repeated bitwise, and what explains its speed."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "torch": torch.__version__,  # with the build, such as +cu130
        "platform": platform.platform(),
        "device": device_name(device),
        "cpu_cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "code_revision": _revision(),
    }


def device_name(device: torch.device) -> str:
    """Returns the kind of device with its model, as "cuda: NVIDIA H100" or "cpu: x86_64,
    AVX512"."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"cpu: {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    return device.type


def _revision() -> str | None:
    """Returns the commit of a checkout, with a plus where files differ from it; None for an
    installed package."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():  # git would find a checkout around it, which is not ours
        return None
    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=root, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.strip() or None
