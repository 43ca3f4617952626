"""`vertebra doctor`."""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Look at this machine: versions, devices, memory, disk, extras, and one training step."""


EXTRAS = {"tensorboard": "tensorboard"}
"""Extra -> the distribution it brings."""


def run(arguments: Arguments) -> int:
    """Prints a line a finding; returns 2 if a training step fails."""
    import torch

    _say("vertebra", version("vertebra"))
    _say("python", f"{sys.version.split()[0]} ({sys.platform})")
    for name in ("torch", "torchvision", "numpy", "pillow"):
        _say(name, version(name))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    _say("cpu", f"{cores} cores, {torch.get_num_threads()} threads, "
         f"{torch.backends.cpu.get_cpu_capability()}")  # fmt: skip
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        _say(f"cuda:{index}", f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    if torch.backends.mps.is_available():
        _say("mps", "available")
    disk = shutil.disk_usage(Path.cwd())
    _say("disk here", f"{disk.free / 2**30:.1f} of {disk.total / 2**30:.1f} GiB free")
    for extra, distribution in EXTRAS.items():
        _say(f"extra {extra}", _installed(distribution, extra))
    return _try_step()


def _try_step() -> int:
    """Makes one training step of a small network on each device and says whether it is finite."""
    import torch

    from vertebra.contracts import Batch, Progress
    from vertebra.methods.supervised import SupervisedSpec
    from vertebra.tasks.classify import create_model

    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    failed = False
    for device in devices:
        method = SupervisedSpec().build(create_model("resnet18", num_classes=10)).to(device)
        images = torch.zeros(2, 3, 32, 32, device=device)
        batch = Batch(images, torch.tensor([0, 1], device=device), torch.arange(2, device=device))
        losses = method(batch, Progress(0, 1))
        losses.total.backward()
        is_fine = bool(torch.isfinite(losses.total))
        _say(f"step on {device}", "works" if is_fine else f"gave {float(losses.total)}")
        failed |= not is_fine
    return 2 if failed else 0


def _installed(distribution: str, extra: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return f"not installed; `pip install vertebra[{extra}]` brings it"


def _say(name: str, value: str) -> None:
    print(f"{name:<18} {value}")
