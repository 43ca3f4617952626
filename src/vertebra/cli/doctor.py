"""`vertebra doctor`."""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from vertebra.cores import usable_cores

if TYPE_CHECKING:
    import torch

EXTRAS = {
    "halving": "optuna",
    "hub": "huggingface-hub",
    "jpeg": "simplejpeg",
    "ray": "ray",
    "serve": "fastapi",
    "slurm": "submitit",
    "tensorboard": "tensorboard",
    "timm": "timm",
}
"""Extra -> the distribution it brings."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Look at this machine: versions, devices, memory, disk, extras, and a training step on each
    device.

    Use it when something does not work, and put its output into a report. The exit code is 2 if a
    step fails.
    """


def run(arguments: Arguments) -> int:
    """Prints a line a finding; returns 2 if a training step fails."""
    import torch

    from vertebra.engine.threads import thread_count

    _say("vertebra", version("vertebra"))
    _say("python", f"{sys.version.split()[0]} ({sys.platform})")
    _say("torch", torch.__version__)
    for name in ("torchvision", "numpy", "pillow"):
        _say(name, version(name))
    capability = torch.backends.cpu.get_cpu_capability()
    _say("cpu", f"{usable_cores()} cores, {thread_count()} threads, {capability}")
    if hasattr(os, "sysconf"):
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        _say("memory", f"{pages * size / 2**30:.1f} GiB")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        _say(f"cuda:{index}", f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    if not torch.cuda.is_available():
        _say("cuda", "none")
    if torch.backends.mps.is_available():
        _say("mps", "available")
    disk = shutil.disk_usage(Path.cwd())
    _say("disk here", f"{disk.free / 2**30:.1f} of {disk.total / 2**30:.1f} GiB free")
    for extra, distribution in EXTRAS.items():
        _say(f"extra {extra}", _installed(distribution, extra))
    return _try_steps()


def _try_steps() -> int:
    """Makes one training step of a small network on each device; returns 2 if one fails."""
    import torch

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    found = {device: _step(torch.device(device)) for device in devices}
    for device, failure in found.items():
        _say(f"step on {device}", failure or "works")
    return 2 if any(found.values()) else 0


def _step(device: "torch.device") -> str | None:
    """Returns what went wrong, or None."""
    import torch

    from vertebra.contracts import Batch, Progress
    from vertebra.methods.supervised import SupervisedSpec
    from vertebra.tasks.classify import create_model

    try:
        method = SupervisedSpec().build(create_model("resnet18", num_classes=10)).to(device)
        images = torch.zeros(2, 3, 32, 32, device=device)
        batch = Batch(images, torch.tensor([0, 1], device=device), torch.arange(2, device=device))
        losses = method(batch, Progress(0, 1))
        losses.total.backward()
    except RuntimeError as error:  # a driver that does not fit, a kernel that is missing
        return f"failed: {str(error).splitlines()[0]}"
    if not torch.isfinite(losses.total):
        return f"gave a loss of {losses.total.item()}"
    return None


def _installed(distribution: str, extra: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return f"not installed; `pip install vertebra[{extra}]` brings it"


def _say(name: str, value: str) -> None:
    print(f"{name:<18} {value}")
