"""Memory and time of a training pass with gradient checkpointing over those without.

Each runs in a process of its own, in turn (A B A B ...), as `vertebra train` would: without it
freed memory is kept. Memory is what the process grows by in five forward and backward passes.

    uv run python benchmarks/gradient_checkpointing.py resnet50 --image-size 160 --batch-size 32
"""

import argparse
import json
import subprocess
import sys
import time
from statistics import median

from vertebra.bench.latency import Spread

PASSES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("model")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", choices=("plain", "saving"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(measured(given)))
        return
    ratios: dict[str, list[float]] = {"memory": [], "time": []}
    for number in range(given.rounds):
        plain, saving = alone("plain"), alone("saving")
        print(f"round {number + 1}: plain {plain}, saving {saving}", flush=True)
        for name, found in ratios.items():
            found.append(saving[name] / plain[name])
    for name, found in ratios.items():
        ratio = Spread.of(found)
        print(f"{name}: {ratio.p50:.2f} times ({ratio.p25:.2f} to {ratio.p75:.2f})")


def alone(form: str) -> dict[str, float]:
    """Returns the figures of this form, from a process of its own."""
    command = [sys.executable, *sys.argv, "--alone", form]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measured(given: argparse.Namespace) -> dict[str, float]:
    import resource

    import torch

    from vertebra.engine.execution import Execution
    from vertebra.engine.gradient_checkpointing import checkpoint_blocks
    from vertebra.tasks.classify import create_model

    cpu = torch.device("cpu")
    execution = Execution(device="cpu", gradient_checkpointing=given.alone == "saving")
    execution.settle(cpu)
    execution.keep_memory(cpu)
    model = create_model(given.model, num_classes=10).train()
    execution.place(model, cpu)
    if execution.gradient_checkpointing:
        checkpoint_blocks(model)
    size = given.image_size
    images = torch.randn(given.batch_size, 3, size, size).contiguous(memory_format=execution.layout)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds: list[float] = []
    for _ in range(PASSES):
        began = time.perf_counter()
        model(images).square().mean().backward()
        model.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - began)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"memory": round(grown), "time": round(median(seconds[1:]), 3)}


if __name__ == "__main__":
    main()
