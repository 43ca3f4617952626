"""What a study takes beyond its runs: the time in which it runs and none of its runs does.

A study makes its runs one after another here, each the process that `vertebra train --recipe FILE`
would be by hand. So the processes below it are looked at every few milliseconds; the time without
one is the study's own, however fast the machine is at the moment. Linux only.

    uv run python benchmarks/study_overhead.py
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

STEPS = ("method.loss.smoothing=0.1", "optimizer.weight_decay=5e-4", "dropout=0.1")
POLL_S = 0.005


class Spent(NamedTuple):
    """Seconds of a study: before its first run, between its runs, after the last one, in all."""

    before: float
    between: float
    after: float
    total: float

    @property
    def share(self) -> float:
        """The study's own part of its time."""
        return (self.before + self.between + self.after) / self.total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    found: list[Spent] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        plain, changed = recipes(place, given.epochs)
        for number in range(given.rounds):
            out = place / f"{number}"
            found.append(watched("study", "ablate", plain, changed, "--seeds", given.seeds,
                                 "--out", out))  # fmt: skip
            spent, runs = found[-1], len(list((out / "recipes").iterdir()))
            print(
                f"{runs} runs, {spent.total:.0f} s: {spent.before:.1f} s before, "
                f"{spent.between:.1f} s between, {spent.after:.1f} s after: {spent.share:.2%}",
                flush=True,
            )
    shares = [each.share for each in found]
    print(
        f"the study's own time: median {median(shares):.2%}, {min(shares):.2%} to {max(shares):.2%}"
    )


def recipes(place: Path, epochs: float) -> tuple[Path, Path]:
    """Returns the files of a recipe and of the same with each step made."""
    plain, changed = place / "plain.json", place / "changed.json"
    settings = [word for each in STEPS for word in ("--set", each)]
    for path, words in ((plain, ["--set", "method.loss.smoothing=0"]), (changed, settings)):
        subprocess.run(
            line("plan", "digits", "--epochs", epochs, *words, "--save", path),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return plain, changed


def watched(*words: object) -> Spent:
    """Returns what the command spent, by whether a run below it was under way."""
    began = last = time.perf_counter()
    process = subprocess.Popen(line(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before: float | None = None
    between = alone = 0.0  # alone: since the last run ended
    while process.poll() is None:
        is_running = has_run(process.pid)
        now = time.perf_counter()
        if is_running:
            before = now - began if before is None else before
            between, alone = between + alone, 0.0
        elif before is not None:
            alone += now - last
        last = now
        time.sleep(POLL_S)
    if process.returncode or before is None:
        sys.exit(f"the study ended with exit code {process.returncode}")
    return Spent(before, between, alone, time.perf_counter() - began)


def has_run(process: int) -> bool:
    """Says whether one of the process's threads has a training below it."""
    try:
        threads = [*Path(f"/proc/{process}/task").iterdir()]
        below = [child for each in threads for child in (each / "children").read_text().split()]
        lines = [Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in below]
    except OSError:  # one of them has just ended
        return False
    return any(b"train" in words for words in lines)


def line(*words: object) -> list[str]:
    return [sys.executable, "-m", "vertebra", *map(str, words)]


if __name__ == "__main__":
    main()
