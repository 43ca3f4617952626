"""Training throughput and peak memory against timm's own train.py, everything else being equal.

Runs the two commands in turn (A B A B ...), each in a process of its own, and prints the median of
the ratios of a round. Rates are the middle ones of the steps after the first five, as each program
reports them itself; memory is the largest resident set of one process.

    uv run python benchmarks/train_against_timm.py --timm-train PATH/train.py --data FOLDER

timm's train.py is not in its package: take it from timm's repository. FOLDER has train/ and val/
with a folder a class.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

from records import note
from vertebra.bench.latency import Spread

WARM_UP_STEPS = 5


class Measured(NamedTuple):
    images_per_s: float
    peak_memory_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--timm-train", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument(
        "--steps", type=int, default=15, help="at least 6; one epoch must hold them"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timm-flags", default="", help="more flags, as '--channels-last'")
    parser.add_argument("--record", type=Path, help="append what is found to this file")
    given = parser.parse_args()
    rounds: list[tuple[Measured, Measured]] = []
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            pair = ours(given, Path(folder)), timms(given, Path(folder))
        rounds.append(pair)
        print(f"round {number + 1}: vertebra {pair[0]}, timm {pair[1]}", flush=True)
    speed = [ours.images_per_s / timm.images_per_s for ours, timm in rounds]
    memory = [ours.peak_memory_mb / timm.peak_memory_mb for ours, timm in rounds]
    summary = {
        "model": given.model,
        "image_size": given.image_size,
        "batch_size": given.batch_size,
        "precision": given.precision,
        "cores": os.cpu_count(),
        "speed_ratio": {
            "median": round(median(speed), 3),
            "all": [round(each, 3) for each in speed],
        },
        "memory_ratio": {
            "median": round(median(memory), 3),
            "all": [round(each, 3) for each in memory],
        },
    }
    print(json.dumps(summary))
    note(
        given.record,
        Spread.of(speed),
        work=f"training end to end at {given.image_size} px, {given.precision}",
        against=" ".join(["timm's train.py", given.timm_flags, *amp(given)]),
        name=given.model,
        rounds=given.rounds,
        memory=median(memory),
    )


def ours(given: argparse.Namespace, folder: Path) -> Measured:
    out = folder / "run"
    command = [
        sys.executable,
        "-m",
        "vertebra",
        "train",
        str(given.data),
        "--recipe",
        "baseline",
        "--model",
        given.model,
        "--image-size",
        str(given.image_size),
        "--batch-size",
        str(given.batch_size),
        "--precision",
        given.precision,
        "--device",
        "cpu",
        "--workers",
        "2",
        "--set",
        f"length={given.steps} steps",
        "--set",
        "selection.every=1000000 steps",
        "--set",
        "schedule=Constant",
        "--out",
        str(out),
    ]
    _, memory = run(command)
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rates = [each["images_per_s"] for each in events if each["event"] == "step"]
    return Measured(round(median(rates[WARM_UP_STEPS:]), 2), memory)


def timms(given: argparse.Namespace, folder: Path) -> Measured:
    command = [
        sys.executable,
        str(given.timm_train),
        "--data-dir",
        str(given.data),
        "--train-split",
        "train",
        "--val-split",
        "val",
        "--model",
        given.model,
        "--num-classes",
        str(classes(given.data)),
        "--img-size",
        str(given.image_size),
        "-b",
        str(given.batch_size),
        "--epochs",
        "1",
        "--workers",
        "2",
        "--opt",
        "sgd",
        "--lr",
        "0.1",
        "--sched",
        "cosine",
        "--warmup-epochs",
        "0",
        "--device",
        "cpu",
        "--color-jitter",
        "0",
        "--log-interval",
        "1",
        "--output",
        str(folder),
        *given.timm_flags.split(),
        *amp(given),
    ]
    text, memory = run(command)
    rates = [float(each) for each in re.findall(r"^Train:.*?([\d.]+)/s  \(", text, re.MULTILINE)]
    return Measured(round(median(rates[WARM_UP_STEPS : given.steps]), 2), memory)


def amp(given: argparse.Namespace) -> list[str]:
    return ["--amp", "--amp-dtype", "bfloat16"] if given.precision == "bf16" else []


def run(command: list[str]) -> tuple[str, float]:
    """Returns what the command printed and the peak memory in MiB of its largest process."""
    program = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode;"
        "print('PEAK', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=False
    )
    text = done.stdout + done.stderr
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{text[-3000:]}")
    return text, int(re.findall(r"PEAK (\d+)", text)[-1]) / 1024


def classes(data: Path) -> int:
    return sum(each.is_dir() for each in (data / "train").iterdir())


if __name__ == "__main__":
    main()
